"""tokenizer.json of others: looked through as plain JSON, within bounds, before a library reads it."""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from zoo.declared import find
from zoo.errors import ZooError, one_line
from zoo.text.base import Tokenizer
from zoo.text.library import LibraryTokenizer
from zoo.text.plain import Bytes, Characters
from zoo.text.silent import silent

BYTES = 64_000_000  # Gemma's is 33 MB
TOKENS = 1_000_000  # XLM-V's are 901,629
DEPTH, PARTS, LETTERS = 20, 200, 5_000
ADDED = 1_000_000  # letters of all added tokens, of which the library makes an automaton of 80 times the size
GROWTH = 1_000  # how many letters a letter may become
REPEATED = 4  # how often a post_processor may give a text
WORD = 1_000  # letters of a word that WordPiece looks up piece by piece, in cubic time; BERT's are 100
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
    return from_text(_read(path), repr(str(path)), trust, **roles)


def from_text(text: str, where: str, trust: tuple[str, ...] = (), **roles: int | str | None) -> Tokenizer:
    """As `from_file`, of what stands in one; where: what errors call it."""
    content = _parsed(text, where)
    try:
        if "_target_" in content:
            return _own(content, trust)
        if "kind" in content:
            return _ours(content)
        _check(content)
        return _library(text, roles)
    except ZooError as error:
        raise ZooError(f"{where}: {error}") from error.__cause__


Tokenizer.load = staticmethod(from_file)


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            raise ZooError(f"There is no file {str(path)!r}; give a tokenizer.json, or a folder that has one.")
        with open(path, "rb") as file:
            content = file.read(BYTES + 1)
        if len(content) > BYTES:
            raise ZooError(f"{str(path)!r} is larger than {BYTES // 10**6} MB, which no tokenizer is.")
        return content.decode()
    except (OSError, ValueError) as error:
        if isinstance(error, ZooError):
            raise
        raise ZooError(f"{str(path)!r} is no tokenizer.json ({one_line(error, 200)}); copy it again.") from error


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ZooError(f"{where} is no tokenizer.json ({one_line(error, 200)}); copy it again.") from error
    if not isinstance(found, dict):
        raise ZooError(f"{where} is no tokenizer.json: it holds a {type(found).__name__}.")
    return found


def _ours(content: dict[str, Any]) -> Tokenizer:
    special = content.get("special", True)
    if isinstance(special, bool):
        if content["kind"] == "byte" and content.keys() <= {"kind", "special"}:
            return Bytes(special)
        characters = content.get("characters")
        if isinstance(characters, str) and len(characters) > sys.maxunicode:
            raise ZooError(f"its {len(characters):,} characters are more than there are.")
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
        with silent():
            made = LibraryTokenizer(Inner.from_str(text), "file", **roles)
            made.try_out()
    except ZooError:
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise ZooError(f"the tokenizers library cannot read it: {one_line(error, 300)}") from error
        raise
    return made


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
    merges = model.get("merges") or []
    if not isinstance(merges, list):
        raise ZooError("its merges are no list of pairs.")
    size = len(vocab) + len(added)
    for name, number, most in (("tokens", size, TOKENS), ("merges", len(merges), 4 * size + 1000)):
        if number > most:
            raise ZooError(f"it has {number:,} {name}, more than the {most:,} that any has.")
    names = (
        list(vocab) if isinstance(vocab, dict) else [piece[0] for piece in vocab if isinstance(piece, list) and piece]
    )
    contents = [token.get("content") for token in added]
    if any(isinstance(token, str) and len(token) > LETTERS for token in (*names, *contents)):
        raise ZooError(f"it has a token of more than {LETTERS:,} letters.")
    if (letters := sum(len(content) for content in contents if isinstance(content, str))) > ADDED:
        raise ZooError(f"its added tokens have {letters:,} letters, more than the {ADDED:,} of any.")
    if type(most := model.get("max_input_chars_per_word", 100)) is not int or not 0 < most <= WORD:
        raise ZooError(f"its max_input_chars_per_word={one_line(most, 40)} is not within 1 to {WORD:,}.")
    ids = [*(vocab.values() if isinstance(vocab, dict) else ()), *(token.get("id") for token in added)]
    # Holes are filled with what a model has no use for, but a single id of 2**31 would ask for a table of that size.
    if wrong := [id for id in ids if type(id) is not int or not 0 <= id <= 2 * size + 1000]:
        raise ZooError(f"it has id {one_line(wrong[0], 40)} among {size} tokens.")
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        _bounded(part, content.get(part))
    _once(content.get("post_processor"))


def _bounded(part: str, content: Any) -> None:
    todo, seen, growth, before = [(content, 0)], 0, 1, 0
    while todo:
        value, depth = todo.pop()
        seen += 1
        if depth > DEPTH or seen > 100 * PARTS:
            raise ZooError(f"its {part} is larger or deeper than any.")
        if isinstance(value, str) and len(value) > (1_000_000 if part == "normalizer" else LETTERS):
            raise ZooError(f"its {part} has a text of {len(value):,} letters.")  # Precompiled tables are long
        if isinstance(value, dict):  # of steps one after another
            growth *= max(1, len(str(value.get("content") or "")))
            before += len(str(value.get("prepend") or ""))
        if growth > GROWTH or before > GROWTH:
            raise ZooError(f"its {part} makes more than {GROWTH:,} letters of one.")
        if isinstance(value, dict | list):
            todo += [(each, depth + 1) for each in (value.values() if isinstance(value, dict) else value)]


def _once(content: Any) -> None:
    """Refuse templates that give a text many times over, one template after the other, or put endless tokens about it."""
    todo, times, special, longest = [content], 1, 0, 1
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo += value.values()
            if isinstance(ids := value.get("ids"), list):  # that a special token of a template stands for
                longest = max(longest, len(ids))
        elif isinstance(value, list):
            todo += value
            pieces = [piece for piece in value if isinstance(piece, dict)]
            given = ["A" in str(piece["Sequence"]) for piece in pieces if "Sequence" in piece]  # else it is B
            times *= max(1, sum(given), len(given) - sum(given))
            special += sum("SpecialToken" in piece for piece in pieces)
    if times > REPEATED:
        raise ZooError(f"its post_processor gives a text more than {REPEATED} times over.")
    if special * longest > GROWTH:
        raise ZooError(f"its post_processor puts more than {GROWTH:,} tokens about a text.")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")
