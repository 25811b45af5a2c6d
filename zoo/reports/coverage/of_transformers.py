"""transformers' causal classes. One that has no converter is refused by its class alone, and not built for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import nn

from zoo.errors import ZooError
from zoo.pretrained.convert import SOURCES
from zoo.reports.coverage.rows import Row, held_against

VOCABULARY = 61
#: Sizes by the names that configs have for them; a config takes those that it knows.
SIZES = dict(
    vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, head_dim=8,
    num_key_value_heads=2, max_position_embeddings=64, n_positions=64, n_embd=32, n_layer=2, n_head=4, pad_token_id=0,
    bos_token_id=1, eos_token_id=2,
)  # fmt: skip


def names() -> list[str]:
    """Classes, by their names."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return classes(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def classes(mapping: Mapping[str, Any]) -> list[str]:
    """What an automatic class may give."""
    found: set[str] = set()
    for kind in mapping.values():
        found |= {kind} if isinstance(kind, str) else set(kind)
    return sorted(found)


def judge(name: str) -> Row:
    """One class."""
    (ids,) = draw(1)

    def show(model: Any) -> torch.Tensor:
        out = model(ids)
        return out if isinstance(out, torch.Tensor) else out.logits

    return judged(name, show, SIZES)


def draw(count: int) -> list[torch.Tensor]:
    """Batches of tokens that no conversion has seen."""
    random = torch.Generator().manual_seed(1)
    return [torch.randint(3, VOCABULARY, (2, 40), generator=random) for _ in range(count)]


def judged(name: str, show: Callable[[Any], torch.Tensor], sizes: Mapping[str, int]) -> Row:
    """A class that has a converter, shown something; or the refusal of it."""
    where = {
        source.rpartition(".")[2]: source.rpartition(".")[0] for source in SOURCES if source.startswith("transformers.")
    }
    if name not in where:
        return Row(name, "", "refused", f"class {name}")
    kind = where[name].rpartition(".")[2]
    return held_against(name, kind, lambda: tiny(getattr(import_module(where[name]), name), sizes), show)


def tiny(kind: Any, sizes: Mapping[str, int] = SIZES) -> nn.Module:
    """A model of a class, with those of these sizes that its config knows."""
    config = kind.config_class()
    known = {key: value for key, value in sizes.items() if hasattr(config, key)}
    if not known:
        raise ZooError(f"{kind.__name__} has a config without any size that is known here.")
    return kind(kind.config_class(**known))
