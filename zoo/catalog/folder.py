"""A zoo that is a folder on this machine."""

import time
from dataclasses import dataclass
from pathlib import Path

from zoo.catalog import card
from zoo.catalog.files import CARD, sha256
from zoo.catalog.index import INDEX, Entry, read
from zoo.errors import ZooError, nearest


@dataclass(frozen=True)
class FolderZoo:
    """A folder with index.json beside model folders."""

    where: str

    def index(self) -> dict[str, Entry]:
        """As `Zoo.index`; a folder without index.json holds nothing yet."""
        path = Path(self.where) / INDEX
        return read(path, self) if path.exists() or path.is_symlink() else {}

    def folder(self, name: str) -> Path:
        """As `Zoo.folder`. Raises: ZooError also for a link to outside the zoo, and a card that is not the published one."""
        found, top = Path(self.where) / name, Path(self.where).resolve()
        for wait in (0.1, 0.4, None):  # somebody may be publishing: the model is there a moment before its entry
            if (entry := self.index().get(name)) is None:
                raise ZooError(f"{self.where!r} has no {name!r}; {nearest(name, self.index())}")
            if (found / CARD).is_file() and sha256(found / CARD) == entry.card:
                break
            if wait is None:
                raise ZooError(
                    f"{str(found / CARD)!r} is not the one that {INDEX} tells of (sha256); copy the zoo again, or publish the "
                    "model again if the change is yours."
                )
            time.sleep(wait)
        for path in (found, *found.iterdir()):
            if not path.resolve().is_relative_to(top):
                raise ZooError(f"{str(path)!r} is a link to outside its zoo, which is not followed.")
        return found

    def card(self, name: str) -> card.Card | None:
        """As `Zoo.card`."""
        return card.read(self.folder(name))
