"""conf/data: every file builds its set, with the keys that its room's sets share."""

import inspect
from pathlib import Path

import pytest
import yaml
from hydra.utils import get_class

from datamodules.captions import CaptionData
from datamodules.graphs.module import GraphData
from datamodules.graphs.node2vec import Settings
from datamodules.images.augment import Augment
from datamodules.images.module import ImageData
from datamodules.pairs import PairData
from datamodules.series import SeriesData
from datamodules.text import TextData
from datamodules.tokenizers import KEYS
from tests.training.compose import compose
from zoo.config import check, instantiate, plain
from zoo.errors import ZooError

CONF = Path(__file__).resolve().parents[2] / "conf" / "data"
#: Names by room; what a room's sets share.
BASES = {"images": ImageData, "graphs": GraphData, "text": TextData, "series": SeriesData, "pairs": PairData}
BASES["captions"] = CaptionData
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml"))}
ROOMS = {name: room for name, file in FILES.items() for room in BASES if f".{room}." in file.get("_target_", "")}


def config(name, *overrides):
    roots = ["seed=5", "paths.data=/somewhere", "paths.cache=/elsewhere"]
    return plain(compose(f"data={name}", *roots, *overrides).data)


def test_the_sets_are_there():
    images = {"digits", "fashion_mnist", "mnist", "cifar10", "cifar10_jpeg", "imagefolder"}
    graphs = {"digits_knn", "digits_graphs", "dictionary_lookup", "npz", "cora", "citeseer", "pubmed", "cora_ml"}
    graphs |= {"amazon_photo", "actor", "webkb", "ppi", "aifb", "acm", "ogbn_arxiv"}
    texts = {"python_docs", "tinyshakespeare", "textfile", "chat", "glosses", "jsonl", "textcsv", "senses"}
    texts |= {"squad", "stories", "conll", "doc_terms"}
    series = {"nyc_weather", "etth1", "etth2", "ettm1", "ettm2", "exchange_rate", "csv"}
    captions = {"digit_scenes", "captions"}
    assert images | graphs | texts | series | {"reverse", "multi30k", "pairs"} | captions == ROOMS.keys()


@pytest.mark.parametrize("name", ROOMS)
def test_keys_are_the_constructors(name):
    """A6: each key is one that the target accepts, and all sets of a room have the shared ones."""
    data, base = config(name), BASES[ROOMS[name]]
    check({"data": data})
    accepted = set(inspect.signature(get_class(data["_target_"])).parameters)
    assert set(data) - {"_target_"} == accepted >= set(inspect.signature(base).parameters)
    module = instantiate(data)
    assert isinstance(module, base) and module.seed == 5 and module.split_seed == 0
    assert [str(place) for place in module.search_paths] == ["/somewhere", "/elsewhere"]
    if base is ImageData:
        assert module.modality == "image" and isinstance(module.augment, Augment)
    elif base is TextData:
        assert module.modality == "text" and module.tokenizer["kind"] in ("bpe", "char", "wordpiece", "words")
    elif base is SeriesData:
        assert module.modality == "series" and module.horizon in (24, 96)
    elif base is PairData:
        assert module.modality == "pairs" and module.tokenizer["kind"] in ("char", "bpe")
    elif base is CaptionData:
        assert module.modality == "captions" and module.tokenizer["kind"] == "words"
    else:
        assert module.modality.endswith("graph")
        assert Settings(**data["node2vec"]) == Settings(), "the defaults stand in both"


@pytest.mark.parametrize("name", ROOMS)
def test_header_says_what_it_is(name):
    text = (CONF / f"{name}.yaml").read_text().split("defaults:")[0]
    assert text.startswith("# ") and "icen" in text


def test_overrides_and_misspelt_keys():
    words = ["data.augment.randaugment={n:2,m:9}", "data.normalise={mean:[0.5],std:[0.5]}"]
    module = instantiate(config("digits", *words))
    assert module.augment.randaugment == {"n": 2, "m": 9} and module.normalise == {"mean": [0.5], "std": [0.5]}
    assert instantiate(config("digits", "data.augment=null")).augment is None
    module = instantiate(config("cora", "data.loader=neighbor", "data.positions={laplacian:8}"))
    assert module.loader == "neighbor" and module.positions == {"laplacian": 8}
    with pytest.raises(ZooError, match=r"neighbrs.*did you mean 'neighbours'"):
        check({"data": config("digits_knn", "+data.neighbrs=3")})


TOKENIZERS = sorted(path.stem for path in (CONF.parent / "tokenizer").glob("*.yaml"))


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokenizers_of_conf_are_those_that_there_are(name):
    """`tokenizer=` replaces that of the data whole; each key is one that the kind has."""
    given = config("tinyshakespeare", f"tokenizer={name}")
    assert given["tokenizer"].keys() == KEYS[name] | {"kind"} and given["tokenizer"]["kind"] == name
    assert instantiate(given).tokenizer == given["tokenizer"]
    assert set(TOKENIZERS) == KEYS.keys()


def test_a_tokenizer_is_for_text():
    with pytest.raises(ZooError, match=r"tokenizer.* is not"):
        check({"data": config("digits", "tokenizer=char")})


def test_keys_of_tokenizers_are_checked():
    assert config("python_docs", "tokenizer.vocab_size=777")["tokenizer"]["vocab_size"] == 777
    assert config("textfile", "tokenizer=file", "tokenizer.path=x.json")["tokenizer"] == {
        "kind": "file",
        "path": "x.json",
    }
    with pytest.raises(
        ZooError, match=r"tokenizer.vocab_sise is not a key of tokenizer=bpe; did you mean 'vocab_size'"
    ):
        instantiate(config("python_docs", "+data.tokenizer.vocab_sise=7"))


@pytest.mark.parametrize("data", ["pairs", "multi30k"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_pairs_take_any_tokenizer(data, name):
    """Their own has 4,000 tokens, which was said of those too that have no such size: tokenizer=char and file were refused."""
    given = config(data, f"tokenizer={name}")
    made = instantiate(given)
    assert made.tokenizer["kind"] == name and made.tokenizer.keys() == KEYS[name] | {"kind"}
    assert made.tokenizer.get("vocab_size") in (None, 4000)
    if name in ("char", "file"):
        with pytest.raises(ZooError, match=f"tokenizer.vocab_size is not a key of tokenizer={name}"):
            instantiate(config(data, f"tokenizer={name}", "tokenizer.vocab_size=99"))


@pytest.mark.parametrize("number", [-1, True, 1.5])
def test_a_number_of_processes_that_is_none(number):
    with pytest.raises(ZooError, match=r"data\.num_workers=.* is not a number of processes"):
        TextData(num_workers=number)
