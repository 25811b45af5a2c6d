"""Adapters: a small part that is trained beside a frozen model (LoRA, bottleneck).

model = zoo.adapt(zoo.load("runs/mine"), "lora", rank=8, targets=["q", "v"])
...                                                   # train what has requires_grad
zoo.save_adapter(model, "adapter")                    # the adapter alone, with the name and the hash of its base
zoo.merge(model)                                      # or a plain model again
"""

from zoo.adapters.linear import AdaptedLinear
from zoo.adapters.model import (
    Adapter,
    Piece,
    adapt,
    adapter_of,
    base_hash,
    hash_of,
    merge,
    own_modules,
    own_names,
    put,
    stay_in_eval,
    trained,
)
from zoo.adapters.parts import KINDS, Bottleneck, LoRA, Part, is_kind, kind_of
from zoo.adapters.places import Place, find_places, named_places

__all__ = [
    "KINDS", "AdaptedLinear", "Adapter", "Bottleneck", "LoRA", "Part", "Piece", "Place", "adapt", "adapter_of", "base_hash",
    "find_places", "hash_of", "is_kind", "kind_of", "merge", "named_places", "own_modules", "own_names", "put", "stay_in_eval",
    "trained",
]  # fmt: skip
