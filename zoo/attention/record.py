"""Look at attention without touching it: the weights of any model, whatever kernel computes its output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from zoo.attention.core import AttentionCall
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
        maps["blocks.0.attn"]        # [B, H, Q, K], of that module's last forward; on a graph EdgeWeights

    The model's own kernel still computes the output; the weights are computed beside it by the reference, before
    dropout, without gradient and without drawing random numbers, so the output is the same bit for bit.

    Args:
        model: any module with Attention somewhere inside. `module.` and `_orig_mod.` are stripped from the paths.
        only: paths to record, `*` allowed ("blocks.*.attn", or a list); None records all.

    Raises:
        ZooError: nothing in the model records, or `only` matches nothing.
    """
    named = {strip_wrappers(path): module for path, module in model.named_modules() if hasattr(module, "recorder")}
    if not named:
        raise ZooError(f"{type(model).__name__} holds no Attention: there is nothing to record.")
    wanted = [only] if isinstance(only, str) else only
    chosen = {p: m for p, m in named.items() if wanted is None or any(fnmatchcase(p, w) for w in wanted)}
    if not chosen:
        raise ZooError(f"only={only!r} names no attention of {type(model).__name__}: {nearest(str(only), named)}")
    weights: dict[str, Tensor | EdgeWeights] = {}
    before = {path: module.recorder for path, module in chosen.items()}
    try:
        for path, module in chosen.items():
            module.recorder = _recorder(weights, path)
        yield weights
    finally:
        for path, module in chosen.items():
            module.recorder = before[path]


def _recorder(weights: dict[str, Tensor | EdgeWeights], path: str) -> Callable[[AttentionCall], None]:
    def record(call: AttentionCall) -> None:
        weights[path] = attention_weights(call)

    return record


@torch.no_grad()
def attention_weights(call: AttentionCall) -> Tensor | EdgeWeights:
    """The weights of a call, before dropout, detached: [B, H, Q, K], or one a head for each edge."""
    call = replace(call, need_weights=True, need_logits=False, dropout=0.0)
    edges = call.pattern.edges
    if edges is None:
        weights = Reference().run(call).weights
        assert weights is not None  # asked for
        return weights.detach()
    kernel = Reference() if EdgeList().why_not(call) else EdgeList()  # the oracle's loop is for small graphs
    alpha = kernel.run(call).weights
    assert alpha is not None
    alpha = alpha.detach().movedim(1, -1)  # [B, E, H]
    names = edges.edge_index if edges.names is None else edges.names
    is_loop = torch.arange(names.shape[1], device=names.device) >= names.shape[1] - edges.num_loops
    if edges.keep is not None:
        names, alpha, is_loop = names[:, edges.keep], alpha[:, edges.keep], is_loop[edges.keep]
    return EdgeWeights(names, alpha[0] if alpha.shape[0] == 1 else alpha, is_loop)


def strip_wrappers(path: str) -> str:
    """`_orig_mod.blocks.0.attn` -> `blocks.0.attn`: a module's path without what wraps the model."""
    return ".".join(name for name in path.split(".") if name not in WRAPPERS)
