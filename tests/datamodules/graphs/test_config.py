"""conf/data: every set of graphs is built from its file, with the keys that they share."""

import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class

from datamodules.graphs.module import GraphData
from datamodules.graphs.node2vec import Settings
from zoo.config import check, instantiate, plain
from zoo.errors import ZooError

CONF = Path(__file__).resolve().parents[3] / "conf"
NAMES = sorted(path.stem for path in (CONF / "data").glob("*.yaml") if "datamodules.graphs." in path.read_text())
SHARED = set(inspect.signature(GraphData).parameters)


def config(name, *overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        roots = ["seed=5", "paths.data=/somewhere", "paths.cache=/elsewhere"]
        return plain(compose("train", overrides=[f"data={name}", *roots, *overrides]).data)


def test_the_sets_are_there():
    planetoid = {"cora", "citeseer", "pubmed"}
    made = {"digits_knn", "digits_graphs", "dictionary_lookup", "npz"}
    assert planetoid | made | {"cora_ml", "amazon_photo", "actor", "webkb", "ppi", "aifb", "acm", "ogbn_arxiv"} == set(
        NAMES
    )


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_the_constructors(name):
    """A6: each key is one that the target accepts, and all sets have the shared ones."""
    data = config(name)
    check({"data": data})
    accepted = set(inspect.signature(get_class(data["_target_"])).parameters)
    assert set(data) - {"_target_"} == accepted >= SHARED
    module = instantiate(data)
    assert isinstance(module, GraphData) and module.modality.endswith("graph") and module.preprocess is None
    assert module.seed == 5 and module.split_seed == 0
    assert [str(place) for place in module.search_paths] == ["/somewhere", "/elsewhere"]
    assert Settings(**data["node2vec"]) == Settings(), "the defaults stand in both"


@pytest.mark.parametrize("name", NAMES)
def test_header_says_what_it_is(name):
    text = (CONF / "data" / f"{name}.yaml").read_text().split("defaults:")[0]
    assert text.startswith("# ") and "icen" in text


def test_overrides_and_misspelt_keys():
    module = instantiate(config("cora", "data.loader=neighbor", "data.positions={laplacian:8}"))
    assert module.loader == "neighbor" and module.positions == {"laplacian": 8}
    with pytest.raises(ZooError, match=r"neighbrs.*did you mean 'neighbours'"):
        check({"data": config("digits_knn", "+data.neighbrs=3")})
