"""The tokenizer that a config asks for: read, or made of the training part and kept."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datamodules.files import caching, obtain
from zoo.errors import ZooError, nearest, one_line
from zoo.text import Tokenizer, from_file, gpt2, train_tokenizer
from zoo.text.gpt2 import FILES, URL

log = logging.getLogger(__name__)
FORMAT = 1  # goes up whenever the same text makes another tokenizer
#: Kind -> the keys that it has beside `kind`; those of conf/tokenizer.
KEYS = {
    "byte": {"special"},
    "char": {"special"},
    "bpe": {"vocab_size", "special", "lower"},
    "unigram": {"vocab_size", "special", "lower"},
    "wordpiece": {"vocab_size", "special"},
    "words": {"min_count", "lower", "special"},
    "gpt2": set(),
    "file": {"path"},
}
READY = ("byte", "gpt2", "file")  # those that are what they are, whatever the texts


def check(config: Any) -> Any:
    """The config as a dict; a tokenizer, or a function of texts that gives one, as it is. Raises: ZooError for another kind, or
    a key that it has not."""
    if isinstance(config, Tokenizer) or callable(config):
        return config
    if not isinstance(config, Mapping) or config.get("kind") not in KEYS:
        kind = config.get("kind") if isinstance(config, Mapping) else config
        raise ZooError(f"data.tokenizer={kind} is unknown; {nearest(str(kind), KEYS)}")
    kind = config["kind"]
    for key in config.keys() - KEYS[kind] - {"kind"}:
        raise ZooError(f"tokenizer.{key} is not a key of tokenizer={kind}; {nearest(key, KEYS[kind])}")
    return dict(config)


def without_size(config: Any, size: int | None) -> Any:
    """The config without a size that nobody asked for, of a kind that has none: a character or a word a token, a file's."""
    if isinstance(config, Mapping) and size is not None and config.get("vocab_size") == size:
        sized = "vocab_size" in KEYS.get(str(config.get("kind")), {"vocab_size"})
        return config if sized else {key: value for key, value in config.items() if key != "vocab_size"}
    return config


def kind(config: Any) -> str | None:
    """What a config that `check` gave calls it; None for an object or a function."""
    return config["kind"] if isinstance(config, Mapping) else getattr(config, "kind", None)


def trains(config: Any) -> bool:
    """Whether other texts make another tokenizer of this config."""
    return not isinstance(config, Tokenizer) and kind(config) not in READY


def lowered(config: Any) -> Any:
    """The config of the same in lower case; a tokenizer or function as it is. Raises: ZooError for a kind that keeps case."""
    if not isinstance(config, Mapping) or config["kind"] == "wordpiece":
        return config
    if "lower" not in KEYS[config["kind"]]:
        able = ", ".join(name for name, keys in KEYS.items() if "lower" in keys)
        raise ZooError(f"data.lower=true is of no tokenizer={config['kind']}; take one of {able}.")
    return {**config, "lower": True}


def check_same(config: Any, given: Tokenizer, option: str) -> None:
    """Raise ZooError where a certain tokenizer was asked for, and a model comes with another."""
    if isinstance(config, Mapping) and config["kind"] == "file" and config.get("path"):
        config = from_file(config["path"])
    if isinstance(config, Tokenizer) and config != given:
        raise ZooError(
            f"data.{option} is a tokenizer of {config.vocab_size:,} tokens, and the weights were trained with another, of "
            f"{given.vocab_size:,}: its ids mean other tokens. Leave it out, or train anew (init=null)."
        )


def make(
    config: Any, texts: Callable[[], Iterable[str]], digest: Callable[[], str], folders: tuple[Path, Path]
) -> Tokenizer:
    """The tokenizer of a config.

    Args:
        config: {"kind": ...} and what stands in conf/tokenizer/<kind>.yaml; or a function of one's own, called with texts.
        texts: of the training part.
        digest: its hash.
        folders: where gpt2's files are looked for, then the cache, where what was trained is kept.
    """
    config = check(config)
    if isinstance(config, Tokenizer):
        return config
    if callable(config):  # made anew each time: what its code does is in no key of a cache
        return _own(config, texts())
    kind = config.pop("kind")
    if kind == "file":
        if not config.get("path"):
            raise ZooError("tokenizer=file needs tokenizer.path=<a tokenizer.json>.")
        return from_file(config["path"])
    if kind == "gpt2":
        found = [obtain(f"gpt2-bpe/{name}", [URL + name], folders, digest) for name, digest in FILES.items()]
        return gpt2(*found)
    if kind == "byte":
        return train_tokenizer(kind, (), **config)
    key = f"{FORMAT} {digest()} {kind} {sorted(config.items())} {version('tokenizers')}"
    kept = folders[-1] / "tokenizers" / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    if not kept.is_file():
        log.info(f"training the tokenizer ({kind}) on the training part")
        made = train_tokenizer(kind, texts(), **config)
        with caching(kept) as beside:
            beside.write_text(made.to_json(), encoding="utf-8")
    found_again = from_file(kept)
    found_again.kind = kind
    return found_again


def _own(factory: Callable[..., Any], texts: Iterable[str]) -> Tokenizer:
    name = getattr(getattr(factory, "func", factory), "__qualname__", str(factory))
    try:
        made = factory(texts)
    except ZooError:
        raise
    except Exception as error:  # its own, of whatever kind
        raise ZooError(f"data.tokenizer: {name} failed on the training part: {one_line(error, 200)}") from error
    if not isinstance(made, Tokenizer):
        raise ZooError(f"data.tokenizer: {name} gave a {type(made).__name__}, which is no zoo.text.Tokenizer.")
    return made
