"""The files that model folders of others have, by name: what is fetched of a folder or repository that has no card.json."""

import re
from collections.abc import Collection
from pathlib import Path

from zoo.catalog.files import CARD, README
from zoo.checked.texts import parse_json, read_json
from zoo.errors import ZooError, one_line

CONFIG, ADAPTER, INDEX = "config.json", "adapter_config.json", "model.safetensors.index.json"
#: Our folders', timm's, peft's and transformers'.
SMALL = (
    CONFIG, "tokenizer.json", "source_tokenizer.json", "tokenizer_config.json", "generation_config.json", ADAPTER, INDEX,
)  # fmt: skip
LARGE = ("model.safetensors", "adapter_model.safetensors")
SMALL_BYTES = 64_000_000  # a tokenizer.json of 256,000 tokens has 34 MB
#: One of several files of a model's weights.
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
#: Weights as transformers kept them before, and whatever else is pickle.
BIN = re.compile(r"pytorch_model(-\d{5}-of-\d{5})?\.bin|pytorch_model\.bin\.index\.json")
PICKLE = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
#: Tokenizers in other forms, of which the reader tells that it does not read them.
OTHERS = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json", "merges.txt")


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


def chosen(names: Collection[str], where: str) -> tuple[list[str], list[str]]:
    """(small files, weights) among the files of a repository that a reader here takes; no pickle, nothing in folders of it.

    Raises: ZooError for a repository without config.json, or with weights in pickle alone that no reader takes.
    """
    if not {CONFIG, ADAPTER} & set(names):
        some = one_line(", ".join(sorted(names)[:20]), 300)
        raise ZooError(f"{where} is no model's repository: it has no {CONFIG}, but {some or 'nothing'}.")
    wanted = (*SMALL, CARD, README, *(() if "tokenizer.json" in names else OTHERS))
    large = [name for name in LARGE if name in names] or [name for name in sorted(names) if SHARD.fullmatch(name)]
    return [name for name in wanted if name in names], large


def takes_pickle(config: Path, names: Collection[str], where: str) -> list[str]:
    """The pickle files that are weights of a transformers folder, whose reader takes tensors and nothing else; [] for none.

    Raises: ZooError for a folder of another kind whose weights are pickle.
    """
    content = read_json(config) if config.is_file() else None
    if isinstance(content, dict) and "model_type" in content and "format" not in content:
        return sorted(name for name in names if BIN.fullmatch(name))
    if found := sorted(name for name in names if name.endswith(PICKLE)):
        raise ZooError(
            f"{where} has its weights as pickle alone ({', '.join(found)[:100]}), which runs code where it is read: take a "
            "revision or a repository with model.safetensors, or ask its owner for one."
        )
    return []
