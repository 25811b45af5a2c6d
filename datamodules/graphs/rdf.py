"""PyG's Entities made the same in every process: run as a script, with the folder that PyG is to work in.

PyG numbers nodes and labels in the order of Python sets, which hang on the process's hash seed, and rdflib gives blank
nodes random names. So the numbers of nodes, and with them a seed's initial weights, would differ from cache to cache.
Here blank nodes become named ones before PyG reads them, and the hash seed is fixed. (A script, not a function,
because a hash seed is chosen when Python starts; it imports nothing of this project.)
"""

import csv
import gzip
import os
import re
import sys
from pathlib import Path

BLANK = re.compile(r"^_:(\w+)(?= )|(?<=> )_:(\w+)(?= \.$)", re.MULTILINE)  # as subject, as object; not in texts


def environment() -> dict[str, str]:
    """The variables that the script must be started with."""
    return {**os.environ, "PYTHONHASHSEED": "0"}


def name_blank_nodes(path: Path) -> None:
    """Give the blank nodes of a gzipped N-Triples file addresses, which stay what they are when read."""
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    path.write_bytes(gzip.compress(BLANK.sub(r"<blank:\1\2>", text).encode("utf-8"), mtime=0))


def label_names(table: Path) -> list[str]:
    """The label of each row of one of the set's .tsv files."""
    with open(table, encoding="utf-8", newline="") as file:
        return [row["label_affiliation"] for row in csv.DictReader(file, delimiter="\t")]


def main(root: str) -> None:
    """Download, if need be, and process AIFB in `root`."""
    from torch_geometric.datasets import Entities

    class Stable(Entities):
        def process(self):
            name_blank_nodes(Path(self.raw_paths[0]))
            super().process()

    Stable(root, "AIFB")


if __name__ == "__main__":
    main(sys.argv[1])
