"""The conf folder as the verbs see it: the options of a group, what each says of itself, one composed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zoo
from zoo.errors import ZooError, nearest
from zoo.packages import confs

if TYPE_CHECKING:
    from omegaconf import DictConfig


def folder() -> Path:
    """Where the configs lie: within the package in a wheel, beside it in a checkout. Raises ZooError where there are none."""
    package = Path(zoo.__file__).resolve().parent
    places = (package / "configs", package.parent / "conf")
    if found := next((place for place in places if (place / "train.yaml").is_file()), None):
        return found
    raise ZooError(f"{' and '.join(map(str, places))} are missing; install the project again: pip install -e .")


def quoted(value: object) -> str:
    """A value as Hydra's grammar reads it back, whatever characters it has."""
    if re.fullmatch(r"[\w.-]*/[\w./-]*", str(value)):  # most paths: nothing to quote
        return str(value)
    text = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), str(value))
    return f"'{text}'"


def expand(words: Sequence[str]) -> list[str]:
    """A command line whose `pattern.size=4` says what it means: `model.attention.pattern.size=4`.

    The first word of such a key is a group whose files say where they belong (`# @package`). `model.embedding=` is a setting of
    the training (`embedding` in train.yaml): the architecture is the same. An address that ends in a pin
    (`init=https://...#sha256=...`) is quoted, as Hydra's grammar wants it. All else stays as it is.
    """
    words = [re.sub(r"^([+~]*)model\.(embedding(\.\w+)*(=|$))", r"\1\2", word) for word in words]
    return [re.sub(r"^([+~]*)(\w+)\.(?=[^=]*(=|$))", _in_full, _pinned(word)) for word in words]


def _pinned(word: str) -> str:
    key, _, value = word.partition("=")
    return f"{key}={quoted(value)}" if re.match(r"https?://[^'\"]*#", value) else word


def ready(words: Sequence[str]) -> list[str]:
    """A command line as Hydra understands it: expanded, and names of `zoo.list_models()` that are no file made known to it."""
    asked = {name for word in words if word.startswith("model=") for name in word.removeprefix("model=").split(",")}
    if asked - options("model").keys():
        from zoo.models.registry import store

        store(options("model").values())
    return expand(words)


def _in_full(found: re.Match[str]) -> str:
    package = packages().get(found[2])
    return f"{found[1]}{package}." if package else found[0]


@cache
def packages() -> dict[str, str]:
    """Group -> where its choice stands in the config, of the groups that build a part elsewhere under their own name."""
    found = {}
    for group in (path for path in folder().iterdir() if path.is_dir()):
        for path in group.glob("*.yaml"):
            package = re.match(r"# @package ([\w.]+)", path.read_text(encoding="utf-8"))
            if package and package[1].endswith(f".{group.name}"):
                found[group.name] = package[1]
    return found


def options(group: str) -> dict[str, Path]:
    """Names and files of a group, in order of name; those of one's own packages too, this project's before them."""
    places = (*confs(), folder())
    found = {path.stem: path for place in places for path in (place / group).glob("*.yaml")}
    return dict(sorted(found.items()))


def search() -> None:
    """Let Hydra search the conf/ folders of one's own packages (zoo.packages) after this project's, whoever composes."""
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class OwnPackages(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for place in confs():
                search_path.append("attention-zoo", f"file://{place}")

    if not any(plugin.__name__ == "OwnPackages" for plugin in Plugins.instance().discover(SearchPathPlugin)):
        Plugins.instance().register(OwnPackages)


def comment(path: Path) -> str:
    """What a yaml says of itself, without `@package`; '' if nothing: its leading comment's first line, to the end of the
    sentence where that goes on in the next, and without the command that runs it or a table (indented) below."""
    head = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    lines = [line.lstrip("#").rstrip() for line in head if "@package" not in line]
    lines = [line.strip() for line in takewhile(lambda line: not line.startswith("  "), lines)]
    text = " ".join(lines).partition(" Run: ")[0]
    end = re.compile(r"(?!(?<=\bet al)\. \d)[.;:](?=\s|$)|[?!]$").search(text, max(len("".join(lines[:1])) - 1, 0))
    return text[: end.start()] + (end[0] if end[0] in "?!" else ".") if end else text


def licence(path: Path) -> str:
    """The licence that a data set's yaml tells in its leading comment; '' where it tells none."""
    head = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    text = " ".join(line.lstrip("# ").rstrip() for line in head)
    if "No licence stated" in text:
        return "none stated"
    found = re.search(r"[Ll]icence(?::| is| are)? (.+?)(?=\.\s|\.$| \(|\)|;|,)", text)
    return found[1] if found else ""


def compose(group: str, name: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """One option of a group, with changes such as "pattern.size=4", as a plain dict that was checked; empty for a group that
    only changes others.

    Raises: ZooError for an unknown option (the nearest is named) or a key that its target does not accept.
    """
    from hydra import compose, initialize_config_dir

    from zoo.config import check, plain

    search()
    if name not in options(group):
        raise ZooError(f"{group}={name} is unknown; {nearest(name, options(group))}")
    if group in packages():  # a part: whatever package the file's header names for training, here it stands on its own
        with initialize_config_dir(str(folder()), version_base="1.3"):
            config = plain(compose(overrides=[f"+{group}@{group}={name}", *changes]))[group]
    else:
        config = plain(compose_train([f"{group}={name}", *changes]).get(group) or {})
    check({group: config})
    return config


def compose_train(changes: Sequence[str]) -> DictConfig:
    """The whole training config with changes such as "model=vit", unresolved."""
    from hydra import compose, initialize_config_dir

    search()
    with initialize_config_dir(str(folder()), version_base="1.3"):
        return compose("train", ready(changes))


def places() -> dict[str, str]:
    """What conf/train.yaml says of this machine: `folder`, where data lie (ZOO_DATA), and `cache`, what may be written
    (ZOO_CACHE)."""
    from omegaconf import OmegaConf

    paths = OmegaConf.load(folder() / "train.yaml").paths
    return {"folder": str(paths.data), "cache": str(paths.cache)}
