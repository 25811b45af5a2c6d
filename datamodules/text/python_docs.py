"""What the running CPython says of itself: the topics of `help()` and the docstrings of its standard library.

Files are read, not imported. The same CPython gives the same text anywhere.
"""

import ast
import hashlib
import inspect
import json
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from datamodules.files import caching
from zoo.errors import ZooError, one_line

#: Folders of the standard library that are not of it, or are not for reading.
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__", "lib-dynload", "lib2to3"}
TOPICS = "pydoc_data/topics.py"
FORMAT = 2  # goes up when the same sources give other texts
SHORT = 60  # paragraphs of more characters than that are kept once


def documents(cache: Path) -> list[str]:
    """A topic, or the docstrings of a module in the order of its source, each; a paragraph of over 60 characters stands in the
    first alone. Found once for a Python as it is installed, and kept: parsing all sources takes seconds.

    Raises: ZooError where this Python came without its sources.
    """
    files = _files()
    about = [(name, path.stat().st_size, path.stat().st_mtime_ns) for name, path in files.items()]
    key = hashlib.sha256(repr((FORMAT, sys.version, about)).encode()).hexdigest()[:24]
    kept = cache / "python_docs" / f"{key}.json"
    if not kept.is_file():
        seen: set[str] = set()
        found = [_once(text, seen) for name, path in files.items() for text in _texts(name, path)]
        with caching(kept) as beside:
            beside.write_text(json.dumps([text for text in found if text]), encoding="utf-8")
    if not (texts := json.loads(kept.read_text(encoding="utf-8"))):
        raise ZooError(
            "data=python_docs reads the standard library's sources, and this Python has none; take data=textfile."
        )
    return texts


def topics() -> dict[str, str]:
    """The topics of `help()` by name, in the order of the alphabet. Raises: ZooError where this Python came without them."""
    path = Path(sysconfig.get_paths()["stdlib"]) / TOPICS
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise ZooError(f"this Python came without {TOPICS} ({one_line(error, 80)}), the topics of help().") from error
    return _topics(tree)


def _once(text: str, seen: set[str]) -> str:
    kept = []
    for paragraph in re.split(r"\n\s*\n", text):
        if len(same := paragraph.strip()) > SHORT:
            if same in seen:
                continue
            seen.add(same)
        kept.append(paragraph)
    return "\n\n".join(kept).strip()


def _files() -> dict[str, Path]:
    """The sources of the standard library by name, the topics first."""
    library = Path(sysconfig.get_paths()["stdlib"])
    found = {path.relative_to(library).as_posix(): path for path in library.rglob("*.py")}
    left = {name: path for name, path in found.items() if not _left_out(name.split("/")[:-1])}
    return dict(sorted(left.items(), key=lambda item: (item[0] != TOPICS, item[0])))


def _left_out(folders: list[str]) -> bool:
    return bool(LEFT_OUT & set(folders)) or any(part.startswith(("config-", ".")) for part in folders)


def _texts(name: str, path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):  # a template, or what cannot be read
        return
    if name != TOPICS:
        yield "\n\n".join(_docstrings(tree))
        return
    yield from _topics(tree).values()


def _topics(tree: ast.Module) -> dict[str, str]:
    """What the one dict of pydoc_data/topics.py holds."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            found |= ast.literal_eval(node.value)
    return dict(sorted(found.items()))


def _docstrings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        text = ast.get_docstring(node, clean=False)
        if text and text.strip():
            yield inspect.cleandoc(text).encode(errors="replace").decode()
    for child in ast.iter_child_nodes(node):
        yield from _docstrings(child)
