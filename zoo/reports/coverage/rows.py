"""One name of another library: built with random weights, converted, and held against the original."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zoo.errors import ZooError, one_line
from zoo.pretrained.convert import convert

RESULTS = ("converted", "refused", "wrong", "not built")
TOLERANCE = 1e-4
#: What of a refusal names the options.
OPTIONS = re.compile(r"This [\w.]+(?: model)? has (.*?), which zoo")
CLASS = re.compile(r"(?:.*\.)?(\w+) is another architecture")


class Row(NamedTuple):
    """name: as the other library has it. kind: its file or class there. result: one of RESULTS. why: the options that it was
    refused by; of what was converted, the largest difference."""

    name: str
    kind: str
    result: str
    why: str


def held_against(name: str, kind: str, make: Callable[[], nn.Module], show: Callable[[Any], Tensor]) -> Row:
    """Build, convert, compare.

    Args:
        make: the other library's model, small, with weights of its own.
        show: shows a model, theirs or ours, an input, and gives a tensor.
    """
    try:
        theirs = randomise(make())
    except Exception as error:  # the other library's, of whatever kind
        return Row(name, kind, "not built", one_line(str(error) or type(error).__name__, 200))
    try:
        ours = convert(theirs)
        with torch.no_grad():
            wanted, found = show(theirs).double(), show(ours.eval()).double()
    except ZooError as error:
        return Row(name, kind, "refused", reason(error))
    except Exception as error:  # neither converted nor refused in a sentence
        return Row(name, kind, "wrong", one_line(f"{type(error).__name__}: {error}", 200))
    apart = (wanted - found).abs().max().item() / max(1.0, wanted.abs().max().item())
    return Row(name, kind, "converted" if apart <= TOLERANCE else "wrong", f"{apart:.1e}")


def reason(error: ZooError) -> str:
    """The options, or the class, that a refusal names."""
    if match := OPTIONS.search(str(error)):
        return one_line(match[1], 200)
    if match := CLASS.match(str(error)):
        return f"class {match[1]}"
    return one_line(str(error), 200)


@torch.no_grad()
def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random numbers in every parameter that learns (a table of sines is what it is), so that none stands where a mistake would
    not show; eval mode."""
    random = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if isinstance(parameter, nn.UninitializedParameter) or not parameter.requires_grad:
            continue
        noise = torch.randn(parameter.shape, generator=random)
        one = parameter.ndim < 2 or parameter.shape[0] == 1  # a gain, a bias, a token
        parameter.copy_(
            noise * (0.3 if one else parameter[0].numel() ** -0.5) + parameter.float().mean().round().nan_to_num()
        )
    return model.eval()
