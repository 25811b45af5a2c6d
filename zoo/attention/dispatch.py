"""Who computes a call: the kernels in order, what each has against it, and `attend`, which asks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from zoo.attention.call import FULL, SCALED_DOT, AttentionCall, AttentionOutput, check
from zoo.attention.kernels import KERNELS
from zoo.attention.patterns import Pattern
from zoo.attention.scores import Score
from zoo.errors import ZooError, nearest, one_line


class Kernel(Protocol):
    """One way to compute a call. Reasons come from types, shapes, dtypes, devices and flags, never from values."""

    name: str

    def why_not(self, call: AttentionCall) -> tuple[str, ...]:
        """Why it cannot run this call; empty if it can."""

    def why_slow(self, call: AttentionCall) -> tuple[str, ...]:
        """Why another kernel is faster here: passed over by the automatic choice, never when pinned."""

    def run(self, call: AttentionCall) -> AttentionOutput: ...


def choose_kernel(call: AttentionCall, pinned: str | None = None) -> Kernel:
    """The pinned kernel, or the first of KERNELS that has no objection, or the first that can run at all.

    A pinned kernel never falls back. Raises ZooError with the reasons of every kernel that refuses.
    """
    if pinned is not None:
        kernel = _named(pinned)
        if kernel.why_not(call):
            raise ZooError(
                f"kernel={pinned!r} cannot compute this attention; "
                f"choose another, or None for the automatic choice:\n{_reasons(call)}"
            )
        return kernel
    able = None
    for kernel in KERNELS:
        if not kernel.why_not(call):
            if not kernel.why_slow(call):
                return kernel
            able = able or kernel
    if able is None:
        raise ZooError(f"No kernel can compute this attention:\n{_reasons(call)}")
    return able


def _named(name: str) -> Kernel:
    for kernel in KERNELS:
        if kernel.name == name:
            return kernel
    raise ZooError(f"Unknown kernel {one_line(repr(name), 100)}: {nearest(name, [kernel.name for kernel in KERNELS])}")


def _reasons(call: AttentionCall) -> str:
    return ";\n".join(f"  {kernel.name}: {_verdict(kernel, call)}" for kernel in KERNELS)


def _verdict(kernel: Kernel, call: AttentionCall) -> str:
    if reasons := kernel.why_not(call):
        return "; ".join(reasons)
    if reasons := kernel.why_slow(call):
        return "slower here: " + "; ".join(reasons)
    return "runs"


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    score: Score | None = None,
    pattern: Pattern = FULL,
    bias: Tensor | None = None,
    dropout: float = 0.0,
    kernel: str | None = None,
    need_weights: bool = False,
    need_logits: bool = False,
    q_pos: Tensor | None = None,
    k_pos: Tensor | None = None,
    edge_values: Tensor | None = None,
    training: bool = False,
    cross: bool = False,
) -> AttentionOutput:
    """Each query's weighted mean of the values: out_i = sum_j normalize(score(q_i, k_j) + bias_ij) v_j.

    Vaswani et al. 2017, section 3.2, with the score, the pattern and the kernel open.

    Args:
        q: [B, H, Q, D].
        k: [B, H_kv, K, D]. Query head h reads key head h // (H // H_kv).
        v: [B, H_kv, K, Dv].
        score: how a query is compared with a key; None is ScaledDot().
        pattern: which keys a query may see. Query i has place i + K - Q: the queries are the last Q places.
        bias: added to the logits, broadcastable to [B, H, Q, K]; -inf forbids.
        dropout: probability of dropping a weight, applied as given: the caller knows whether it trains.
        kernel: None for the fastest that can, or a name out of `[k.name for k in KERNELS]`.
        need_weights: return the weights, [B, H, Q, K], before dropout.
        need_logits: return the logits, [B, H, Q, K], -inf where forbidden.
        q_pos: [Q] or [B, Q], places of the queries in the sequence where they are not the default (a cache, padding).
        k_pos: [K], [B, K] or [B, H_kv, K], places of the keys likewise; -1 for what is no token: nobody sees it.
        edge_values: [E, H, Dv], added to the value on each edge (a pattern with Edges). Shi et al. 2021, equation 4.
        training: whether the caller trains, for patterns and scores that do otherwise then; dropout does not go by it.
        cross: whether the keys are of another sequence (a context), for patterns that compare queries or let each see itself;
            more queries than keys are so in any case.

    Returns:
        AttentionOutput(out [B, H, Q, Dv], weights, logits). A query that may see no key gets 0.

    Raises:
        ZooError: shapes that do not fit, or a kernel that cannot run this call (with every kernel's reasons).
    """
    rest = (pattern, bias, dropout, need_weights, need_logits, q_pos, k_pos, edge_values, training)
    call = _call(q, k, v, score, rest, cross)
    return run(call, kernel)


def _call(q: Tensor, k: Tensor, v: Tensor, score: Score | None, rest: Any, cross: bool) -> AttentionCall:
    """The call that `attend` computes and `explain` explains."""
    pattern, bias, dropout, need_weights, need_logits, q_pos, k_pos, edge_values, training = rest
    return AttentionCall(
        q, k, v, SCALED_DOT if score is None else score, pattern, bias, dropout, need_weights, need_logits, q_pos, k_pos,
        edge_values, training, cross=cross,
    )  # fmt: skip


def run(call: AttentionCall, kernel: str | None = None) -> AttentionOutput:
    """Check the call, choose its kernel, compute it."""
    check(call)
    return choose_kernel(call, kernel).run(call)


@dataclass(frozen=True)
class Explanation:
    """What every kernel says of one call: `str()` is a line a kernel, in the order in which they are tried."""

    lines: tuple[tuple[str, str], ...]
    chosen: str | None

    def __str__(self) -> str:
        return "\n".join(f"{name}: {verdict}" for name, verdict in self.lines)


def explain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    score: Score | None = None,
    pattern: Pattern = FULL,
    bias: Tensor | None = None,
    dropout: float = 0.0,
    kernel: str | None = None,
    need_weights: bool = False,
    need_logits: bool = False,
    q_pos: Tensor | None = None,
    k_pos: Tensor | None = None,
    edge_values: Tensor | None = None,
    training: bool = False,
    cross: bool = False,
) -> Explanation:
    """Which kernels can compute this call, which would be slower here, and why not the others.

    Takes `attend`'s arguments. `print(explain(q, k, v, ...))` has one line a kernel: "runs", "slower here: ..." or its
    reasons; `.chosen` is the kernel that `attend` takes (None where it would refuse).
    """
    rest = (pattern, bias, dropout, need_weights, need_logits, q_pos, k_pos, edge_values, training)
    call = _call(q, k, v, score, rest, cross)
    check(call)
    if kernel is not None:
        _named(kernel)
    try:
        chosen = choose_kernel(call, kernel).name
    except ZooError:
        chosen = None
    return Explanation(tuple((each.name, _verdict(each, call)) for each in KERNELS), chosen)
