"""Look at attention without touching it: the weights of any model, whatever kernel computes its output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from threading import Lock, get_ident
from typing import Any

import torch
from torch import Tensor, nn

from zoo.attention.call import AttentionCall
from zoo.attention.edges import EdgeWeights
from zoo.attention.kernels.edge_list import EdgeList
from zoo.attention.kernels.reference import Reference
from zoo.errors import ZooError, nearest

WRAPPERS = ("module", "_orig_mod")  # DistributedDataParallel, torch.compile


@contextmanager
def record_attention(model: nn.Module, only: str | list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Collect the attention weights of every module that has a `recorder`, during the `with` block.

        with record_attention(model) as maps:
            model(x)
        maps["blocks.0.attn"]        # [B, H, Q, K], of the model's last forward; on a graph EdgeWeights

    The model's own kernel still computes the output; the weights are computed beside it by the reference, before
    dropout, without gradient and without drawing random numbers, so the output is the same bit for bit. Where a module
    runs several times in one forward, its entry is the list of its weights in order; below a module whose class says
    `stepping = True` (a decoder that calls it once a step) they are joined, see `join_steps`. What gradient checkpointing
    recomputes in the backward pass does not count.

    A recording belongs to the thread that opened it: several threads may record one model at once, and each gets what ran in
    it (of a compiled model, which cannot tell threads apart, one at a time). Copies and pickles of a model that is being
    recorded do not record.

    Args:
        model: any module with Attention somewhere inside. `module.` and `_orig_mod.` are stripped from the paths.
        only: paths to record, `*` allowed ("blocks.*.attn", or a list); None records all.

    Raises:
        ZooError: nothing in the model records, `only` matches nothing, or the model ran in other threads alone.
    """
    named = {strip_wrappers(path): module for path, module in model.named_modules() if hasattr(module, "recorder")}
    if not named:
        raise ZooError(f"{type(model).__name__} holds no Attention: there is nothing to record.")
    wanted = [only] if isinstance(only, str) else only
    chosen = {p: m for p, m in named.items() if wanted is None or any(fnmatchcase(p, w) for w in wanted)}
    if not chosen:
        raise ZooError(f"only={only!r} names no attention of {type(model).__name__}: {nearest(str(only), named)}")
    steps = [strip_wrappers(path) for path, module in model.named_modules() if getattr(module, "stepping", False)]
    recording = _Recording([path for path in chosen if any(not s or f"{path}.".startswith(f"{s}.") for s in steps)])
    hooks = [
        model.register_forward_pre_hook(_Hook(recording.begin)),
        model.register_forward_hook(_Hook(recording.end), always_call=True),
    ]
    try:
        for path, module in chosen.items():
            _attach(module, path, recording)
        yield recording.maps
    finally:
        for hook in hooks:
            hook.remove()
        for module in chosen.values():
            _detach(module, recording)
    if recording.elsewhere and not recording.maps:
        raise ZooError("The model ran in other threads than the one that records: open record_attention where it runs.")


def join_steps(steps: Sequence[Tensor]) -> Tensor:
    """Weights of T steps of a decoder, [B, H, q, S] each -> [B, H, T q, S], 0 for keys that were not there yet."""
    last = max(weights.shape[-1] for weights in steps)
    return torch.cat([nn.functional.pad(weights, (0, last - weights.shape[-1])) for weights in steps], 2)


class _Recording:
    """One `with` block: the maps of its thread, from the beginning of the model's last forward on."""

    def __init__(self, stepping: Sequence[str]):
        self.maps: dict[str, Any] = {}
        self.stepping, self.inside, self.elsewhere, self.thread = stepping, False, 0, get_ident()

    def listens(self) -> bool:
        """Whether what runs now belongs to this recording: this thread, and not a recomputation within backward."""
        if torch.compiler.is_compiling():
            return True
        if get_ident() != self.thread:
            self.elsewhere += 1
            return False
        return torch._C._current_graph_task_id() == -1

    def begin(self) -> None:
        self.maps.clear()
        self.inside = True

    def end(self) -> None:
        self.inside = False
        for path in self.stepping:
            steps = self.maps.get(path)
            if isinstance(steps, list) and all(isinstance(weights, Tensor) for weights in steps):
                self.maps[path] = join_steps(steps)

    def add(self, path: str, weights: Tensor | EdgeWeights) -> None:
        before = self.maps.get(path) if self.inside else None  # parts called on their own: the last of each
        if before is None:
            self.maps[path] = weights
        elif isinstance(before, list):
            before.append(weights)
        else:
            self.maps[path] = [before, weights]


class _Recorder:
    """What `module.recorder` is while someone records: the recordings, of one thread or several, and its path in each."""

    def __init__(self, *sinks: tuple[_Recording, str]):
        self.sinks = sinks

    def __call__(self, call: AttentionCall) -> None:
        listening = [(recording, path) for recording, path in self.sinks if recording.listens()]
        if torch.compiler.is_compiling() and len({recording.thread for recording, _ in listening}) > 1:
            raise ZooError("A compiled model cannot tell threads apart: record it from one at a time.")
        if listening:
            weights = attention_weights(call)
            for recording, path in listening:
                recording.add(path, weights)

    def __reduce__(self) -> tuple:
        return type(None), ()  # a copy of the model has no recorder


class _Hook:
    """A hook of the model's forward that calls `run` for the thread that records, and nothing in a copy of the model."""

    def __init__(self, run: Any = None):
        self.run = run

    def __call__(self, *_: Any) -> None:
        if self.run is not None and self.run.__self__.listens():
            self.run()

    def __reduce__(self) -> tuple:
        return _Hook, ()


_lock = Lock()


def _attach(module: Any, path: str, recording: _Recording) -> None:
    with _lock:
        module.recorder = _Recorder(*getattr(module.recorder, "sinks", ()), (recording, path))


def _detach(module: Any, recording: _Recording) -> None:
    with _lock:
        sinks = [sink for sink in getattr(module.recorder, "sinks", ()) if sink[0] is not recording]
        module.recorder = _Recorder(*sinks) if sinks else None


@torch.no_grad()
def attention_weights(call: AttentionCall) -> Tensor | EdgeWeights:
    """The weights of a call, before dropout, detached: [B, H, Q, K], or one a head for each edge. Of a cache: a column for
    each place, 0 where its key is no longer there; while compiling, which allows no such shape, one for each slot."""
    call = replace(call, need_weights=True, need_logits=False, dropout=0.0)
    edges = call.pattern.edges
    if edges is None:
        weights = Reference().run(call).weights
        assert weights is not None  # asked for
        return by_place(call, weights.detach())
    kernel = Reference() if EdgeList().why_not(call) else EdgeList()  # the oracle's loop is for small graphs
    alpha = kernel.run(call).weights
    assert alpha is not None
    alpha = alpha.detach().movedim(1, -1)  # [B, E, H]
    names = edges.edge_index if edges.names is None else edges.names
    is_loop = torch.arange(names.shape[1], device=names.device) >= names.shape[1] - edges.num_loops
    if edges.keep is not None:
        names, alpha, is_loop = names[:, edges.keep], alpha[:, edges.keep], is_loop[edges.keep]
    return EdgeWeights(names, alpha[0] if alpha.shape[0] == 1 else alpha, is_loop)


def by_place(call: AttentionCall, weights: Tensor) -> Tensor:
    """Weights [B, H, Q, K] on the slots of a cache -> [B, H, Q, places]."""
    if not call.cached or call.k_pos is None or torch.compiler.is_compiling():
        return weights
    places = call.key_places(call.k_pos).expand(*weights.shape[:2], weights.shape[2], -1)
    out = weights.new_zeros(*weights.shape[:3], int(places.max()) + 1 if places.numel() else 0)
    return out.scatter_add(-1, places.clamp(min=0), weights)  # that of an empty slot is 0


def strip_wrappers(path: str) -> str:
    """`_orig_mod.blocks.0.attn` -> `blocks.0.attn`: a module's path without what wraps the model."""
    return ".".join(name for name in path.split(".") if name not in WRAPPERS)
