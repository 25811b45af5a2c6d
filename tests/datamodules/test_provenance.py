"""Each data set says where it comes from and under which licence, as its yaml does; a digest tells its parts apart."""

from pathlib import Path

import pytest
import torch
import yaml

from zoo import conf
from zoo.config import locate

CONF = Path(__file__).resolve().parents[2] / "conf" / "data"
OWN = {"captions", "chat", "conll", "csv", "imagefolder", "jsonl", "npz", "pairs", "squad", "textcsv", "textfile"}
SHORT = {"CC0-1.0": "CC0", "PSF-2.0": "PSF", "WordNet": "WordNet's", None: "none"}


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_name_source_and_licence(name):
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    made = locate(content["_target_"])(**{key: content[key] for key in ("name",) if key in content})
    if name in OWN:
        assert made.reference is None and made.licence is None and made.places
        return
    assert made.title == (name if name != "webkb" else "webkb_cornell") and len(made.reference) > 10
    assert conf.licence(CONF / f"{name}.yaml").startswith(SHORT.get(made.licence, made.licence))


def test_a_digest_is_of_samples_and_labels(digits):
    data, same = digits(), digits(batch_size=7)
    assert data.digest("test") == same.digest("test") != data.digest("val")
    assert len(data.digest("test")) == 64
    rows = data.rows("test")
    same.source.splits["test"] = rows + 1 - 2 * (rows == 1796)
    assert same.digest("test") != data.digest("test")
    other = digits()
    other.source.labels = torch.where(
        torch.arange(1797) == rows[0], (other.source.labels + 1) % 10, other.source.labels
    )
    assert other.digest("test") != data.digest("test")
    assert digits(split_seed=1).digest("test") != data.digest("test")


def test_a_digest_of_texts_is_of_their_letters(tmp_path):
    from datamodules.text import TextFile

    def digest(text):
        (tmp_path / "a.txt").write_text(text)
        data = TextFile(path=str(tmp_path / "a.txt"), cache=str(tmp_path), context=8)
        data.setup()
        return data.digest("test")

    text = "one two three " * 100
    assert digest(text) == digest(text) != digest(text[:-2] + "x ")


def test_a_digest_of_graphs_is_of_nodes_and_labels():
    from datamodules.graphs import DigitsGraphs, DigitsKNN

    for kind in (DigitsKNN, DigitsGraphs):
        data, other = kind(), kind(split_seed=1)
        data.setup()
        other.setup()
        assert data.digest("test") != other.digest("test") != data.digest("train")
