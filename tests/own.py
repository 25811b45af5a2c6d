"""A package of one's own, as an outsider writes it: files in a folder that Python finds."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def package(name: str, files: Mapping[str, str], home: Path, monkeypatch) -> Iterator[Path]:
    """The package importable from `home`, not yet anybody's own; forgotten at the end."""
    for file, text in files.items():
        path = home / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(home)
    try:
        yield home
    finally:
        for module in [module for module in sys.modules if module.split(".")[0] == name]:
            del sys.modules[module]
