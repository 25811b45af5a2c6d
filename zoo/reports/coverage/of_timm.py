"""timm's names: at their own size without memory first, then small."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from zoo.errors import ZooError, one_line
from zoo.pretrained.convert import convert
from zoo.reports.coverage.rows import Row, held_against, reason

PATTERNS = ("vit_*", "deit*", "beit*", "eva*")
MODULES = ("vision_transformer", "deit")
DEPTH, HEADS = 2, 2


def names() -> list[str]:
    """Those of PATTERNS, and all of MODULES."""
    import timm

    named = timm.list_models(list(PATTERNS))
    return sorted({*named, *(name for module in MODULES for name in timm.list_models(module=module))})


def judge(name: str) -> Row:
    """One name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's own, of names that will go
        return _judge(name)


def _judge(name: str) -> Row:
    import timm

    kind = _file(name)
    try:
        with torch.device("meta"):
            full: Any = timm.create_model(name)
            convert(full)
    except ZooError as error:
        return Row(name, kind, "refused", reason(error))
    except Exception as error:  # not a sentence
        return Row(name, kind, "wrong", one_line(f"{type(error).__name__}: {error}", 200))
    size = full.patch_embed.img_size
    images = torch.randn((2, 3, *size), generator=torch.Generator().manual_seed(1))
    return held_against(name, kind, lambda: small(name, full), lambda model: model(images))


def small(name: str, full: Any) -> nn.Module:
    """Two blocks with two heads of the width that they have, where timm lets one say so."""
    import timm

    heads = next(m.num_heads for m in full.blocks[0].modules() if hasattr(m, "num_heads"))
    sizes = {"depth": DEPTH, "embed_dim": HEADS * (full.embed_dim // heads), "num_heads": HEADS}
    return timm.create_model(name, **sizes)


def _file(name: str) -> str:
    from timm.models import model_entrypoint

    return model_entrypoint(name).__module__.rpartition(".")[2]
