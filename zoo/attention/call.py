"""One attention call: what goes in and what comes out. `dispatch.py` has the kernels compute it.

    logits[i, j] = score(q_i, k_j) + bias[i, j]        where the pattern lets query i see key j, else -inf
    weights[i]   = score.normalize(logits[i])          softmax unless the score says otherwise; an empty row is 0
    out[i]       = sum_j weights[i, j] v_j             with edges: a sum over the edges into i, each with its own value added

Shapes throughout: B batch, H heads, Q queries, K keys, D head width, E edges; heads are always axis 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.attention.former import former
from zoo.attention.patterns import Causal, Full, Pattern
from zoo.attention.patterns.base import check_part
from zoo.attention.scores import ScaledDot, Score
from zoo.errors import ZooError

FULL = Full()
SCALED_DOT = ScaledDot()


class AttentionOutput(NamedTuple):
    """What a kernel returns; what was not asked for is None.

    out: [B, H, Q, Dv]. weights: [B, H, Q, K], before dropout. logits: [B, H, Q, K], -inf where forbidden. Where the
    pattern has edges, weights and logits are [B, H, E], in the order of the edges.
    """

    out: Tensor
    weights: Tensor | None = None
    logits: Tensor | None = None


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """Everything a kernel may look at; `attend` says what each is. `q_pos` [Q] or [B, Q] and `k_pos` [K], [B, K] or [B,
    H_kv, K] are the tokens' places in the sequence; None means that the keys are 0..K-1 and the queries the last Q of
    them. A key at place -1 is no token (an empty cache slot, padding): nobody sees it. `cached` is the promise of a
    cache: keys at place -1 are zeros, and none stands behind a sample's last query; `clean` is the first half of it.
    `k_seen` [B, 1, 1, K] is which of `k_pos` are tokens, where somebody has made that before.
    `training` is whether the caller trains: neither a score nor a pattern knows. `drop(weights, dropout)` drops weights,
    where a kernel has them as a matrix. `finite_bias` is the promise that the bias hides no key (no -inf in it), so that
    nobody looks. `cross`: the keys are of another sequence. `draw` is what choices by chance go by, an int64 scalar that
    a call that trains is given when it is made: whoever looks at the call afterwards (a recording) sees the same choice.
    Without one they go by their own seed."""

    q: Tensor
    k: Tensor
    v: Tensor
    score: Score = SCALED_DOT
    pattern: Pattern = FULL
    bias: Tensor | None = None
    dropout: float = 0.0
    need_weights: bool = False
    need_logits: bool = False
    q_pos: Tensor | None = None
    k_pos: Tensor | None = None
    edge_values: Tensor | None = None
    training: bool = False
    cached: bool = False
    drop: Callable[[Tensor, float], Tensor] = F.dropout
    finite_bias: bool = False
    cross: bool = False
    draw: Tensor | None = None
    clean: bool = False
    k_seen: Tensor | None = None

    def __post_init__(self):
        if self.bias is not None and self.bias.ndim < 4:  # [Q, K] or [H, Q, K], as broadcasting reads them
            object.__setattr__(self, "bias", self.bias[(None,) * (4 - self.bias.ndim)])
        if self.training and self.draw is None and isinstance(self.pattern, Pattern) and self.pattern.by_chance:
            object.__setattr__(self, "draw", torch.randint(2**62, (), device=self.q.device))

    @property
    def queries_per_kv(self) -> int:
        """How many query heads read one key/value head (1 unless GQA or MQA)."""
        return self.q.shape[1] // self.k.shape[1]

    @property
    def has_places(self) -> bool:
        """Whether the keys are not simply a whole sequence: a cache holds its beginning, or tokens have places given."""
        return self.cached or self.k_pos is not None

    @property
    def crosses(self) -> bool:
        """Whether the keys are surely of another sequence: it is said, or there are more queries than keys."""
        return self.cross or self.q.shape[2] > self.k.shape[2]

    @property
    def bias_hides(self) -> bool:
        """Whether the bias may forbid keys: it does where it is -inf."""
        return self.bias is not None and not self.finite_bias

    @property
    def is_unmasked(self) -> bool:
        """Whether every query may see every key; a single causal query that is the last token does."""
        if self.bias_hides or self.k_pos is not None:
            return False
        last = isinstance(self.pattern, Causal) and self.q.shape[2] == 1 and self.q_pos is None
        return last or isinstance(self.pattern, Full)

    def index_grid(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(b, h, q, k): index tensors that broadcast to [B, H, Q, K], as `Pattern.allowed` takes them."""
        (B, H, Q, _), K, device = self.q.shape, self.k.shape[2], self.q.device
        q = torch.arange(K - Q, K, device=device) if self.q_pos is None else self.q_pos
        k = torch.arange(K, device=device).view(1, 1, 1, K) if self.k_pos is None else self.key_places(self.k_pos)
        b, h = torch.arange(B, device=device), torch.arange(H, device=device)
        return b.view(B, 1, 1, 1), h.view(1, H, 1, 1), q.view(q.shape[0] if q.ndim == 2 else 1, 1, Q, 1), k

    def key_places(self, k_pos: Tensor) -> Tensor:
        """`k_pos` as [1 or B, 1 or H, 1, K]."""
        if k_pos.ndim == 3:  # a query head reads at the places of its key/value head
            return self.repeat_kv(k_pos).unsqueeze(2)
        return k_pos.view(k_pos.shape[0] if k_pos.ndim == 2 else 1, 1, 1, k_pos.shape[-1])

    def mask(self) -> Tensor | None:
        """True where a query may see a key, broadcastable to [B, H, Q, K]; None where all may see all."""
        if self.is_unmasked:
            return None
        terms = []
        if not isinstance(self.pattern, Full):
            terms.append(self.pattern.allowed(*self.index_grid()))
        if self.k_pos is not None:
            terms.append(self.key_places(self.k_pos >= 0) if self.k_seen is None else self.k_seen)
        if self.bias is not None and self.bias_hides:
            terms.append(self.bias != -torch.inf)
        mask = terms[0]
        for term in terms[1:]:
            mask = mask & term
        return mask

    def edge_mask(self) -> Tensor | None:
        """`mask` for a list of edges: True where an edge counts, broadcastable to [B, H, E]; None where all do."""
        edges, rest = self.pattern.edges, self.pattern.index_pattern
        assert edges is not None, "this call has no edges"
        terms = [] if edges.keep is None else [edges.keep.view(1, 1, -1)]
        if not isinstance(rest, Full):
            source, target = edges.edge_index
            b, h, q, k = self.index_grid()
            terms.append(rest.allowed(b[..., 0], h[..., 0], q[..., target, 0], k[..., 0, source]))
        if self.bias is not None and self.bias_hides:
            terms.append(self._at_edges(self.bias) != -torch.inf)
        if not terms:
            return None
        seen = terms[0]
        for term in terms[1:]:
            seen = seen & term
        return seen

    def edge_bias(self) -> Tensor | None:
        """The bias on each edge, broadcastable to [B, H, E]; 0 where it forbids (that is in `edge_mask`)."""
        if self.bias is None:
            return None
        bias = self._at_edges(self.bias)
        return bias.masked_fill(bias == -torch.inf, 0) if self.bias_hides else bias

    def _at_edges(self, bias: Tensor) -> Tensor:
        assert self.pattern.edges is not None
        source, target = self.pattern.edges.edge_index
        return bias.expand(*bias.shape[:2], self.q.shape[2], self.k.shape[2])[:, :, target, source]

    def zero_hidden(self, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """k and v with zeros at keys that no query of their sample may see, so that a NaN in padding goes nowhere. Of a
        cache under Causal() all that is there is seen, and what is not there is zeros: nothing is copied."""
        zeros = (
            isinstance(self.pattern, Full) if self.clean else self.cached and isinstance(self.pattern, Causal | Full)
        )
        if mask is None or (zeros and not self.bias_hides):
            return self.k, self.v
        seen = mask.any(-2).unsqueeze(-1)  # [b, h, K, 1]
        if seen.shape[1] > 1 and self.queries_per_kv > 1:  # a key/value head is seen if any head of its group sees it
            seen = seen.unflatten(1, (self.k.shape[1], self.queries_per_kv)).any(2)
        return torch.where(seen, self.k, 0), torch.where(seen, self.v, 0)

    def repeat_kv(self, x: Tensor) -> Tensor:
        """[B, H_kv, ...] -> [B, H, ...]: query head h reads key/value head h // queries_per_kv."""
        return x if self.queries_per_kv == 1 else x.repeat_interleave(self.queries_per_kv, dim=1)

    groups, sees_all, places = former("queries_per_kv"), former("is_unmasked"), former("index_grid")
    seen_edges, visible, spread = former("edge_mask"), former("zero_hidden"), former("repeat_kv")


def check(call: AttentionCall) -> None:
    """Raise ZooError where shapes, dtypes or places do not fit together."""
    q, k, v = call.q, call.k, call.v
    check_part("pattern", call.pattern, Pattern)
    check_part("score", call.score, Score)
    if not (q.ndim == k.ndim == v.ndim == 4):
        raise ZooError(f"q, k, v are [batch, heads, length, width]; got {_shapes(call)}.")
    widths = q.shape[3] == k.shape[3] or call.score.widths_differ
    if k.shape[:3] != v.shape[:3] or q.shape[0] != k.shape[0] or not widths:
        raise ZooError(
            f"q and k need the same batch and width, k and v the same batch, heads and length; got {_shapes(call)}."
        )
    if k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise ZooError(
            f"{q.shape[1]} query heads cannot share {k.shape[1]} key/value heads evenly: give a number that divides."
        )
    if not (q.dtype == k.dtype == v.dtype):
        raise ZooError(f"q, k, v need one dtype; got {q.dtype}, {k.dtype}, {v.dtype}: cast them before the call.")
    if not 0.0 <= call.dropout < 1.0:
        raise ZooError(f"dropout is a probability in [0, 1); got {call.dropout}.")
    if call.pattern.uses_query and call.q_pos is None and q.shape[2] > k.shape[2]:
        raise ZooError(
            f"{q.shape[2]} queries on {k.shape[2]} keys: the queries are the last places of the keys, so {call.pattern} "
            "has no meaning here. Give fewer queries, or a pattern that looks at keys only (Full, Padding, Prefix)."
        )
    if call.cached and call.pattern.needs_whole and q.shape[2] < k.shape[2]:
        raise ZooError(
            f"{call.pattern} goes by the whole sequence (other queries, its length), which a step beside a cache does not see: "
            'read the sequence again for each step (in `generate`, cache="none"), or take another pattern.'
        )
    if call.bias is not None:
        if not call.bias.is_floating_point():
            raise ZooError(
                f"bias is added to the logits: a float tensor; got {call.bias.dtype}. "
                "Which keys may be seen is a pattern, such as Padding(mask)."
            )
        target = (*q.shape[:3], k.shape[2])
        sizes = call.bias.shape
        if len(sizes) > 4 or any(n not in (1, m) for n, m in zip(sizes[::-1], target[::-1], strict=False)):
            raise ZooError(f"bias {list(sizes)} does not broadcast to [B, H, Q, K] = {list(target)}.")
    if call.q_pos is not None or call.k_pos is not None:
        _check_places(call)
    call.pattern.check(call)
    _check_edges(call)


def _check_places(call: AttentionCall) -> None:
    """Raise ZooError where the places are not those of these queries and keys."""
    (B, _, Q, _), (H_kv, K) = call.q.shape, call.k.shape[1:3]
    for name, given, sizes in (
        ("q_pos", call.q_pos, ([Q], [1, Q], [B, Q])),
        ("k_pos", call.k_pos, ([K], [1, K], [B, K], [B, H_kv, K])),
    ):
        if given is not None and list(given.shape) not in sizes:
            raise ZooError(f"{name} is {' or '.join(map(str, (sizes[0], *sizes[2:])))}; got {list(given.shape)}.")


def _check_edges(call: AttentionCall) -> None:
    """Raise ZooError where what stands on the edges does not fit the heads, or has no edges to stand on."""
    edges, extra = call.pattern.edges, call.edge_values
    heads, width = call.q.shape[1], call.v.shape[3]
    if extra is not None and (edges is None or extra.shape != (edges.edge_index.shape[1], heads, width)):
        where = "edges" if edges is None else f"[E, H, D] = [{edges.edge_index.shape[1]}, {heads}, {width}]"
        raise ZooError(f"edge_values {list(extra.shape)} need a pattern with {where}.")
    features = None if edges is None else edges.features
    shape = call.score.edge_shape(heads, call.k.shape[3])
    if features is not None and features.shape[1:] != shape:
        how = (
            "adds the features of an edge to its key" if len(shape) == 2 else "has a shape for the features of an edge"
        )
        raise ZooError(
            f"{type(call.score).__name__} {how}, so they are [E, {', '.join(map(str, shape))}]; got "
            f"{list(features.shape)}. Map them (edges=EdgeProjection in Attention), or take a score with a map of its own "
            "(GATScore, GATv2Score) and its edge_dim."
        )


def _shapes(call: AttentionCall) -> str:
    return ", ".join(f"{name} {list(x.shape)}" for name, x in (("q", call.q), ("k", call.k), ("v", call.v)))
