"""A folder of the Hugging Face hub's form: config.json, weights in one file or in shards, tokenizer.json.

It is read without transformers, and nothing in it is executed: pickle is read for tensors alone, code of its own is refused.
"""

import logging
import re
from pathlib import Path
from typing import Any

from zoo.checked.texts import read_json
from zoo.errors import ZooError, one_line
from zoo.pretrained import weights
from zoo.pretrained.transformers_bert import labels, with_pooler
from zoo.pretrained.transformers_families import config_of, generation
from zoo.pretrained.transformers_names import tensors_of
from zoo.text import Tokenizer

log = logging.getLogger(__name__)
CONFIG, TOKENIZER, SETTINGS, GENERATION = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
)
#: Tokenizers in other forms, which are not read.
OTHERS = (
    *("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "source.spm", "target.spm"),
    *("vocab.txt", "vocab.json", "merges.txt"),
)
WEIGHTS = (
    "model.safetensors",
    "pytorch_model.bin",
)  # the first that is there; each may have an index of shards instead
SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.(safetensors|bin)")
SHARDS = 10_000


def is_one(folder: Path) -> bool:
    """Whether a folder has a config.json that is a model's of transformers."""
    if not (folder / CONFIG).is_file():
        return False
    content = read_json(folder / CONFIG)
    return isinstance(content, dict) and "model_type" in content and "format" not in content


def describe(folder: Path) -> tuple[str, dict[str, Any]]:
    """(class, the plain config of ours) of a folder. Raises: ZooError where there is no model of ours for it."""
    path = folder / CONFIG
    return config_of(read_json(path), None, repr(str(path)))


def read(folder: Path, file: Path | None = None) -> dict[str, Any]:
    """What `zoo.pretrained.sources.Source` holds, by its fields.

    Args:
        file: of the weights, where the folder's usual one is not meant.
    Raises: ZooError for a file that is missing, broken or larger than any; an architecture or option that ours does not have.
    """
    path = folder / CONFIG
    content, (kind, config) = read_json(path), describe(folder)
    state, where = read_weights(folder) if file is None else (_tensors(file), str(file))
    if (beside := folder / GENERATION).is_file():
        config |= generation(read_json(beside), config, repr(str(beside)))
    found = tensors_of(state, kind, config, where)
    config = with_pooler(kind, config, found)
    named, targets = labels(content, config, repr(str(path)))
    return {
        "state": found,
        "weights": where,
        "config": config,
        "described": repr(str(path)),
        "classes": named,
        "targets": targets,
        "tokenizer": read_tokenizer(folder),
        "converted_from": kind,
    }


def read_weights(folder: Path) -> tuple[weights.State, str]:
    """(tensors by their own names, mapped; what errors call the file)."""
    file = weights_file(folder)
    return _shards(file) if file.suffix == ".json" else _tensors(file), str(file)


def weights_file(folder: Path) -> Path:
    """The file of a folder's weights, or of their index. Raises: ZooError where there is none."""
    for name in WEIGHTS:
        for file in (folder / name, folder / f"{name}.index.json"):
            if file.is_file():
                return file
    weights.check_there(folder, WEIGHTS)
    inside = one_line(", ".join(sorted(path.name for path in folder.iterdir())), 500)
    wanted = " nor ".join(WEIGHTS)
    raise ZooError(
        f"{str(folder)!r} has a {CONFIG} and no weights: neither {wanted}, nor their index; it holds {inside}."
    )


def read_tokenizer(folder: Path) -> Tokenizer | None:
    """tokenizer.json, with the roles that tokenizer_config.json gives; None where there is none."""
    path = folder / TOKENIZER
    if not path.is_file():
        if there := [name for name in OTHERS if (folder / name).is_file()]:
            log.warning(
                f"{str(folder)!r} has {' and '.join(there)} and no {TOKENIZER}, so the model comes without a tokenizer: write "
                "one by transformers' AutoTokenizer.from_pretrained(folder).save_pretrained(folder), or give tokenizer=."
            )
        return None
    roles: dict[str, str] = {}
    if (beside := folder / SETTINGS).is_file():
        content = read_json(beside, bits=128)  # a model_max_length of 10^30 is usual
        for role in ("bos", "eos", "pad", "mask", "unk"):
            token = content.get(f"{role}_token") if isinstance(content, dict) else None
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                roles[role] = token
    plain = Tokenizer.load(path)
    return Tokenizer.load(path, **{role: token for role, token in roles.items() if plain.id(token) is not None})


def _tensors(file: Path) -> weights.State:
    content = weights.read(file)
    if strange := [name for name, value in content.items() if not hasattr(value, "shape")]:
        raise ZooError(
            f"{str(file)!r} holds {strange[0]!r:.80}, which is no tensor; take the file that transformers saved."
        )
    state = weights.clean(content)
    stored = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in state.values()}
    if sum(tensor.numel() * tensor.element_size() for tensor in state.values()) > 2 * sum(stored.values()):
        # Tied ones stand there twice at most; what shows the same numbers again and again would be copied each time.
        raise ZooError(
            f"{str(file)!r}: its tensors show more than twice the {sum(stored.values()):,} bytes that are stored."
        )
    return state


def _shards(index: Path) -> weights.State:
    """The tensors of all shards; each must hold what the index says, no more and no less."""
    content = read_json(index)
    named = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(named, dict) or not named or not all(isinstance(shard, str) for shard in named.values()):
        raise ZooError(f"{str(index)!r} has no weight_map of names and files.")
    suffix = WEIGHTS[0].rpartition(".")[2] if WEIGHTS[0] in index.name else "bin"
    shards = sorted(set(named.values()))
    found: weights.State = {}
    if len(shards) > SHARDS:
        raise ZooError(f"{str(index)!r} names {len(shards):,} files, more than any model has.")
    for shard in shards:
        if not SHARD.fullmatch(shard) or not shard.endswith(f".{suffix}"):
            raise ZooError(f"{str(index)!r} names {one_line(shard, 80)!r}, which is no .{suffix} file beside it.")
        file = index.parent / shard
        if not file.is_file():
            raise ZooError(f"{str(index)!r} names {shard!r}, which is not there: copy it too.")
        held, said = _tensors(file), {name for name, where in named.items() if where == shard}
        for names, word in ((said - held.keys(), "does not hold"), (held.keys() - said, "holds, unsaid,")):
            if names:
                raise ZooError(
                    f"{str(index)!r}: {shard} {word} {', '.join(sorted(names))[:300]}; copy the folder again."
                )
        found |= held
    return found
