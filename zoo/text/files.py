"""tokenizer.json of others: looked through as plain JSON, within bounds, before a library reads it."""

import json
from pathlib import Path
from typing import Any, NoReturn

from zoo.declared import find
from zoo.errors import ZooError, one_line
from zoo.text.base import Tokenizer
from zoo.text.library import LibraryTokenizer
from zoo.text.plain import Bytes, Characters

BYTES = 64_000_000  # Gemma's is 33 MB
TOKENS = 2_000_000
DEPTH, PARTS, LETTERS = 20, 200, 5_000
#: Keys of the library's files, and the models that it knows.
KEYS = {
    "version",
    "truncation",
    "padding",
    "added_tokens",
    "normalizer",
    "pre_tokenizer",
    "post_processor",
    "decoder",
    "model",
}
MODELS = ("BPE", "Unigram", "WordPiece", "WordLevel")


def from_file(path: str | Path, trust: tuple[str, ...] = (), **roles: int | str | None) -> Tokenizer:
    """The tokenizer of a tokenizer.json, or of a folder that has one: one of ours, or any that the `tokenizers` library reads.

    Args:
        path: of the file or folder.
        trust: packages of your own whose tokenizers the file may name, see `zoo.load`.
        roles: ids or names of bos, eos, pad, mask, unk where special tokens are not called as usual (`zoo.text.library.NAMES`).
    Raises: ZooError for a file that is none, is damaged, or is larger than any.
    """
    path = Path(path).expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    content, text = _read(path)
    try:
        if "_target_" in content:
            return _own(content, trust)
        if "kind" in content:
            return _ours(content)
        _check(content)
        return _library(text, roles)
    except ZooError as error:
        raise ZooError(f"{str(path)!r}: {error}") from error.__cause__


Tokenizer.load = staticmethod(from_file)


def _read(path: Path) -> tuple[dict[str, Any], str]:
    try:
        if not path.is_file():
            raise ZooError(f"There is no file {str(path)!r}; give a tokenizer.json, or a folder that has one.")
        with open(path, "rb") as file:
            content = file.read(BYTES + 1)
        if len(content) > BYTES:
            raise ZooError(f"{str(path)!r} is larger than {BYTES // 10**6} MB, which no tokenizer is.")
        text = content.decode()
        found = json.loads(text, parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, ZooError):
            raise
        raise ZooError(f"{str(path)!r} is no tokenizer.json ({one_line(error, 200)}); copy it again.") from error
    if not isinstance(found, dict):
        raise ZooError(f"{str(path)!r} is no tokenizer.json: it holds a {type(found).__name__}.")
    return found, text


def _ours(content: dict[str, Any]) -> Tokenizer:
    special = content.get("special", True)
    if isinstance(special, bool):
        if content["kind"] == "byte" and content.keys() <= {"kind", "special"}:
            return Bytes(special)
        characters = content.get("characters")
        if (
            content["kind"] == "char"
            and isinstance(characters, str)
            and content.keys() <= {"kind", "special", "characters"}
        ):
            return Characters(characters, special)
    raise ZooError(
        f"kind={one_line(content['kind'], 40)!r} with {', '.join(sorted(content))[:200]} is no tokenizer of this project."
    )


def _own(content: dict[str, Any], trust: tuple[str, ...]) -> Tokenizer:
    """Of a class in a package that the caller named."""
    kind, settings = find(content["_target_"], "model", trust=trust), content.get("settings")
    if not (isinstance(kind, type) and issubclass(kind, Tokenizer) and isinstance(settings, dict)):
        raise ZooError(f"{content['_target_']} with these settings is no tokenizer.")
    try:
        return kind(**settings)
    except ZooError:
        raise
    except Exception as error:  # its own, of whatever kind
        raise ZooError(f"{content['_target_']} cannot be made of its settings: {one_line(error, 200)}") from error


def _library(text: str, roles: dict[str, int | str | None]) -> Tokenizer:
    from tokenizers import Tokenizer as Inner

    try:
        inner = Inner.from_str(text)
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise ZooError(f"the tokenizers library cannot read it: {one_line(error, 300)}") from error
        raise
    return LibraryTokenizer(inner, "file", **roles)


def _check(content: dict[str, Any]) -> None:
    """Refuse what no tokenizer of the library is: other keys, other models, ids with holes beyond it, endless lists."""
    if other := content.keys() - KEYS:
        raise ZooError(f"it has {', '.join(sorted(other))[:200]}, which the tokenizers library does not know.")
    model = content.get("model")
    if not isinstance(model, dict):
        raise ZooError("it has no model.")
    kind = model.get("type") or (
        "BPE" if "merges" in model else "Unigram" if isinstance(model.get("vocab"), list) else None
    )
    if kind is not None and kind not in MODELS:
        raise ZooError(f"its model {one_line(kind, 40)!r} is none of {', '.join(MODELS)}.")
    vocab = model.get("vocab")
    if not isinstance(vocab, dict | list):
        raise ZooError("its model has no vocabulary.")
    added = content.get("added_tokens") or []
    if not isinstance(added, list) or not all(isinstance(token, dict) for token in added):
        raise ZooError("its added_tokens are no list of tokens.")
    size = len(vocab) + len(added)
    for name, number in (("tokens", size), ("merges", len(model.get("merges") or []))):
        if number > TOKENS:
            raise ZooError(f"it has {number:,} {name}, more than the {TOKENS:,} that any has.")
    ids = [*(vocab.values() if isinstance(vocab, dict) else ()), *(token.get("id") for token in added)]
    # Holes are filled with what a model has no use for, but a single id of 2**31 would ask for a table of that size.
    if wrong := [id for id in ids if type(id) is not int or not 0 <= id <= 2 * size + 1000]:
        raise ZooError(f"it has id {one_line(wrong[0], 40)} among {size} tokens.")
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        _bounded(part, content.get(part))


def _bounded(part: str, content: Any) -> None:
    todo, seen = [(content, 0)], 0
    while todo:
        value, depth = todo.pop()
        seen += 1
        if depth > DEPTH or seen > 100 * PARTS:
            raise ZooError(f"its {part} is larger or deeper than any.")
        if isinstance(value, str) and len(value) > (1_000_000 if part == "normalizer" else LETTERS):
            raise ZooError(f"its {part} has a text of {len(value):,} letters.")  # Precompiled tables are long
        if isinstance(value, dict | list):
            todo += [(each, depth + 1) for each in (value.values() if isinstance(value, dict) else value)]


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")
