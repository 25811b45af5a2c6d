"""The catalog: names of trained models, their cards, and where they lie. Nothing in here imports torch.

    local("gat.cora")             the folder of a model, fetched first where it lies elsewhere
    list_pretrained("gat*")       names
    info("gat.cora")              its card, without its weights

A zoo is a folder with index.json beside model folders, here or behind a static file server (docs/zoo.md).
"""

from zoo.catalog.folder import FolderZoo
from zoo.catalog.index import Entry, Zoo
from zoo.catalog.names import card_of, entries, find, info, is_address, is_name, knows, list_pretrained, local, zoos

__all__ = [
    "Entry", "FolderZoo", "Zoo", "card_of", "entries", "find", "info", "is_address", "is_name", "knows", "list_pretrained",
    "local", "zoos",
]  # fmt: skip
