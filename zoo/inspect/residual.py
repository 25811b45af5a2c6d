"""Read the residual stream of every Block, step by step, under the names of the block's equations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from zoo.attention.record import strip_wrappers
from zoo.errors import ZooError
from zoo.layers.block import Block, parallel, post_norm, pre_norm

PARTS = ("norm1", "attn", "branch1", "norm2", "mlp", "branch2")
#: Where the names of the equations (see zoo/layers/block.py) are read, for the orders that have such names.
NAMES = {
    pre_norm: {"X": "in", "Y": "norm2.in", "Z": "out"},
    parallel: {"X": "in", "Z": "out"},
    post_norm: {"X": "in", "T2": "norm1.in", "T3": "norm1.out", "T5": "norm2.in", "H": "norm2.out"},
}


@contextmanager
def record_residual(model: nn.Module) -> Iterator[dict[str, dict[str, Tensor]]]:
    """Collect what flows through each Block during the `with` block; the last forward wins.

        with record_residual(model) as stream:
            model(x)
        stream["blocks.0"]["Y"]            # X, Y, Z of a pre-norm block; X, T2, T3, T5, H of a post-norm one
        stream["blocks.0"]["attn.out"]     # any order: `<part>.in` and `<part>.out`, `in` and `out` of the block

    All tensors are [B, N, dim] and detached. The parts are norm1, attn, norm2, mlp and, where a block has layer scale
    or drop path, branch1 and branch2, whose outputs are then what is added to the stream. Only hooks: outputs stay the
    same bit for bit.

    Raises: ZooError if the model holds no Block.
    """
    blocks = {strip_wrappers(path): module for path, module in model.named_modules() if isinstance(module, Block)}
    if not blocks:
        raise ZooError(f"{type(model).__name__} holds no zoo.layers.Block: it has no residual stream to read.")
    stream: dict[str, dict[str, Tensor]] = {}
    hooks = []
    try:
        for path, block in blocks.items():
            hooks += _listen(block, path, stream)
        yield stream
    finally:
        for hook in hooks:
            hook.remove()


def _listen(block: Block, path: str, stream: dict[str, dict[str, Tensor]]) -> list:
    """The hooks of one block, which fill `stream[path]`."""

    def part(name: str):
        def hook(_, args, output):
            stream[path].update({f"{name}.in": args[0].detach(), f"{name}.out": _stream(output)})

        return hook

    def begin(_, args):
        stream[path] = {"in": args[0].detach()}

    def end(_, args, output):
        steps = stream[path]
        steps["out"] = _stream(output)
        steps.update({name: steps[place] for name, place in NAMES.get(block.order, {}).items()})

    parts = {name: module for name in PARTS if (module := getattr(block, name, None)) is not None}
    hooks = [module.register_forward_hook(part(name)) for name, module in parts.items()]
    return [block.register_forward_pre_hook(begin), *hooks, block.register_forward_hook(end)]


def _stream(output: Tensor | tuple) -> Tensor:
    """The tokens, of a part that hands on something beside them (residual scores)."""
    return (output[0] if isinstance(output, tuple) else output).detach()
