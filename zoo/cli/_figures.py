"""Where the figures of a verb's inputs go: a file that was named, or one for each input in a folder."""

from collections.abc import Sequence
from pathlib import Path

from zoo.errors import ZooError


def check_out(sources: Sequence[str], wanted: str | None) -> None:
    """Raises: ZooError for a file that is no .png, or one for several inputs."""
    out = Path(wanted or ".")
    if out.is_dir() or not out.suffix:
        return
    if out.suffix.lower() != ".png":
        raise ZooError(f"--out {out} is not a .png file; name one, or a folder.")
    if len(sources) > 1:
        raise ZooError(f"--out {out} is one file for {len(sources)} inputs; name a folder.")


def figures(prefix: str, inputs: Sequence[tuple[str, ...]], wanted: str | None) -> list[Path]:
    """Where each input's figure goes: the file that was named, or a file of its own in the folder that was.

    Args:
        prefix: what such files are called, before a dash.
        inputs: of each the parts of its name, the last the shortest that may do.
        wanted: the file or folder; None: the folder one is in.
    """
    out = Path(wanted or ".")
    if out.is_dir() or not out.suffix:
        return [out / f"{prefix}-{name}.png" for name in _names(inputs)]
    return [out]


def _names(inputs: Sequence[tuple[str, ...]]) -> list[str]:
    """A name for each input, of as many of its parts as tell it from the others: cat, or a-cat and b-cat."""
    names = []
    for parts in inputs:
        others = [other for other in inputs if other != parts]
        n = next((n for n in range(1, len(parts)) if all(other[-n:] != parts[-n:] for other in others)), 1)
        names.append("-".join(parts[-n:]).replace(":", "-"))
    return [f"{name}-{names[:i].count(name) + 1}" if name in names[:i] else name for i, name in enumerate(names)]
