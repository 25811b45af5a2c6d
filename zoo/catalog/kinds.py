"""The files that model folders of others have, by name: what is fetched of a folder or repository that has no card.json."""

import re

from zoo.checked.texts import parse_json
from zoo.errors import ZooError, one_line

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
#: Our folders', timm's, peft's and transformers'.
SMALL = (
    CONFIG, "tokenizer.json", "tokenizer_config.json", "generation_config.json", "adapter_config.json", INDEX,
)  # fmt: skip
LARGE = ("model.safetensors", "adapter_model.safetensors")
SMALL_BYTES = 64_000_000  # a tokenizer.json of 256,000 tokens has 34 MB
#: One of several files of a model's weights.
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


def shards(text: bytes, where: str) -> tuple[str, ...]:
    """The files that a model.safetensors.index.json names. Raises: ZooError for other files than such parts."""
    content = parse_json(text, where)
    named = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(named, dict):
        raise ZooError(f"{where} has no weight_map of names and files.")
    for name in named.values():
        if not isinstance(name, str) or not SHARD.fullmatch(name):
            raise ZooError(f"{where} names {one_line(name, 80)!r}, which is no part of a model's weights.")
    return tuple(sorted(set(named.values())))
