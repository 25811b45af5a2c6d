"""data=multi30k: the files' own parts, found in the data folder, verified, never written to."""

import gzip

import pytest

from datamodules.pairs import Multi30k, multi30k
from zoo.errors import NotAtHand, ZooError

SMALL = {"train": 30, "val": 3, "test_2016_flickr": 4, "test_2018_flickr": 5}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder with small files in place of the set's."""
    where = tmp_path / "data" / multi30k.FOLDER
    where.mkdir(parents=True)
    for part, count in SMALL.items():
        for language in ("de", "en"):
            lines = "".join(f"{language} {part} {i}. \n" for i in range(count))
            (where / f"{part}.{language}.gz").write_bytes(gzip.compress(lines.encode()))
    from hashlib import sha256

    found = {path.name.removesuffix(".gz"): sha256(path.read_bytes()).hexdigest() for path in where.iterdir()}
    monkeypatch.setattr(multi30k, "FILES", {**multi30k.FILES, **found})
    return tmp_path / "data"


def made(folder, **how):
    data = Multi30k(folder=str(folder), cache=str(folder.parent / "cache"), tokenizer={"kind": "byte"}, **how)
    data.setup()
    return data


def test_parts_and_directions(folder):
    data = made(folder)
    assert (data.train_size, data.val_size, data.test_size) == (30, 3, 4)
    assert data.sources("val")[1] == "de val 1." and data.references("val")[1] == ["en val 1."]  # spaces at an end go
    other = made(folder, direction="en-de", test="test_2018_flickr")
    assert other.sources("test")[4] == "en test_2018_flickr 4." and other.test_size == 5
    assert other.references("test")[4] == ["de test_2018_flickr 4."]
    assert not list(folder.rglob("*.json")) and data.digest("test") != other.digest("test")


def test_bad_input_is_a_sentence(folder, monkeypatch):
    with pytest.raises(ZooError, match=r"data.direction=de-fr is unknown: did you mean 'de-en'"):
        made(folder, direction="de-fr")
    with pytest.raises(ZooError, match=r"data.test=test_2016 is unknown: did you mean 'test_2016_flickr'"):
        made(folder, test="test_2016")
    path = folder / multi30k.FOLDER / "val.en.gz"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ZooError, match="is damaged or another file"):
        made(folder)
    path.unlink()
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(NotAtHand, match=r"val.en.gz is not here"):
        made(folder)


def test_the_set_itself(shared_data, tmp_path):
    """Its files as they are; tokens of words, which need no training to be quick."""
    data = Multi30k(folder=str(shared_data), cache=str(tmp_path), tokenizer={"kind": "byte"}, max_tokens=30)
    corpus = data.load()
    assert [len(corpus.splits[stage]) for stage in ("train", "val", "test")] == [29_000, 1_014, 1_000]
    assert corpus.targets[0] == "Two young, White males are outside near many bushes."
    assert corpus.sources[0] == "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche."
    assert not corpus.empty()
    assert {len(lines) for lines in (corpus.sources, corpus.targets)} == {31_014}
