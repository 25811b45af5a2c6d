"""JSON and YAML out of files: plain values, of a size and depth that a config has."""

import json
from pathlib import Path
from typing import Any, NoReturn

import yaml

from zoo.errors import ZooError

BYTES = {"json": 4_000_000, "yaml": 250_000}  # ImageNet-21k's class names are 2 MB
DEPTH, VALUES, LETTERS = 50, 200_000, 100_000
PARTS = 2_000  # things to build that a config names; the largest of ours names some twenty
#: Hydra's and OmegaConf's words, which nothing here understands.
OTHERS = ("_args_", "_convert_", "_recursive_")


def read_json(path: Path, bits: int = 63) -> Any:
    """The content of a JSON file, which may be any plain value with whole numbers of so many bits. Raises: ZooError where it is
    none."""
    text = _text(path, BYTES["json"])
    return parse_json(text, str(path), bits)


def parse_json(text: str | bytes, where: str, bits: int = 63) -> Any:
    """As `read_json`, of a text that came from `where`."""
    try:
        content = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ZooError(f"{where!r} cannot be read ({_why(error)}); copy it again.") from error
    return check_plain(content, where, bits)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file without aliases and tags. Raises: ZooError where it is none."""
    text = _text(path, BYTES["yaml"])
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        deep = 0
        for event in yaml.parse(text, Loader=loader):  # before anything is made of it: loading follows what is nested
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"alias *{event.anchor}, which a config of ours never holds")
            deep += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if deep > DEPTH:
                raise ValueError(f"nested deeper than {DEPTH}")
        content = yaml.load(text, Loader=loader)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ZooError(f"{str(path)!r} cannot be read ({_why(error)}); copy it again.") from error
    return check_plain(content, str(path))


def check_plain(content: Any, where: str, bits: int = 63) -> Any:
    """Refuse what JSON cannot hold, and what is deeper or larger than any config. Returns it.

    Raises: ZooError that names `where` and the key.
    """
    for path, value in _walk(content, where):
        if isinstance(value, dict):
            if wrong := [key for key in value if not isinstance(key, str)]:
                raise ZooError(f"{where}: the key {_short(wrong[0])} in {path or 'it'} is not a text.")
        elif isinstance(value, str):
            if len(value) > LETTERS:
                raise ZooError(f"{where}: {path} has {len(value)} letters, which no setting has.")
        elif type(value) is int:
            if value.bit_length() > bits:
                raise ZooError(f"{where}: {path} is a number of {value.bit_length()} bits, which no setting has.")
        elif type(value) is float:
            if not abs(value) <= 1e308:
                raise ZooError(f"{where}: {path}={value} is not a finite number.")
        elif type(value) not in (list, bool, type(None)):
            raise ZooError(f"{where}: {path} is a {type(value).__name__}; a config holds plain values alone.")
    return content


def check_config(content: Any, where: str) -> Any:
    """As `check_plain`, and nothing that OmegaConf or Hydra would read more into: no `${`, no word of theirs."""
    check_plain(content, where)
    parts = 0
    for path, value in _walk(content, where):
        parts += isinstance(value, dict) and "_target_" in value
        if parts > PARTS:
            raise ZooError(f"{where} names more than {PARTS:,} parts to build, which no config does.")
        if isinstance(value, str) and "${" in value:
            raise ZooError(f"{where}: {path}={_short(value)} holds '${{', and configs of files are not interpolated.")
        if isinstance(value, dict):
            for word in OTHERS:
                if word in value:
                    raise ZooError(f"{where}: {path} holds {word}; beside _target_ only _partial_ is known.")
            if not isinstance(value.get("_partial_", False), bool):
                raise ZooError(f"{where}: {path}._partial_={_short(value['_partial_'])} is neither true nor false.")
    return content


def _walk(content: Any, where: str) -> Any:
    """(path, value) of everything inside, itself first; circles and what is repeated many times end as too deep or large."""
    todo, seen = [("", content, 0)], 0
    while todo:
        path, value, depth = todo.pop()
        seen += 1
        if depth > DEPTH:
            raise ZooError(f"{where} is nested deeper than {DEPTH}, which no config is.")
        if seen + len(todo) > VALUES:
            raise ZooError(f"{where} holds more than {VALUES:,} values, which no config does.")
        yield path, value
        if isinstance(value, dict):
            todo += [(f"{path}.{_key(key)}".lstrip("."), each, depth + 1) for key, each in value.items()]
        elif isinstance(value, list):
            todo += [(f"{path}[{i}]", each, depth + 1) for i, each in enumerate(value)]


def _text(path: Path, most: int) -> str:
    try:
        if not path.is_file():
            raise ZooError(f"There is no file {str(path)!r}.")
        with open(path, "rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise ZooError(f"{str(path)!r} is larger than {most / 1e6:g} MB, which no config is.")
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"{str(path)!r} cannot be read ({_why(error)}); copy it again.") from error


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")


def _why(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())[:200]


def _key(key: Any) -> str:
    return key[:40] if isinstance(key, str) else "?"


def _short(value: Any) -> str:
    return repr(value[:60] if isinstance(value, str) else type(value))
