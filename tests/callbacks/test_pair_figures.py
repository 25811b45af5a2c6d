"""After a test of a model of pairs its alignments are drawn; a model without attention leaves them out, with a line."""

import logging

import pytest
import torch

from datamodules.pairs import Reverse
from tests.tasks.tiny import make_trainer
from zoo.callbacks.figures import Figures
from zoo.models.pairs.bahdanau import Bahdanau
from zoo.models.pairs.seq2seq import Seq2Seq
from zoo.models.pairs.transformer import Transformer2017
from zoo.tasks.translation import Translation

SGD = {"_target_": "torch.optim.SGD", "lr": 0.1}
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = Reverse(cache=str(tmp_path_factory.mktemp("cache")), sizes=(8, 4, 6), letters=3, longest=5, batch_size=4)
    made.setup()
    return made


def after_a_run(data, folder, kind, **more):
    torch.manual_seed(0)
    task = Translation(kind(data.spec.source_vocab, data.spec.target_vocab, 8, **more), SGD)
    task.model.tokenizer = data.spec.tokenizer
    make_trainer(callbacks=[Figures(folder)]).test(task, datamodule=data, verbose=False)
    return folder / "figures" / "alignments.png"


@pytest.mark.parametrize("kind, more", [(Bahdanau, {}), (Transformer2017, {"depth": 6, "num_heads": 2})])
def test_alignments_of_test_pairs(tmp_path, data, caplog, kind, more):
    caplog.set_level(logging.INFO, "zoo.callbacks.figures")
    assert after_a_run(data, tmp_path, kind, **more).read_bytes()[:4] == PNG
    assert "could not be drawn" not in caplog.text


def test_without_attention_there_are_none(tmp_path, data, caplog):
    caplog.set_level(logging.INFO, "zoo.callbacks.figures")
    alignments = after_a_run(data, tmp_path, Seq2Seq)
    assert not alignments.exists()
    assert (alignments.parent / "quality_by_length.png").read_bytes()[:4] == PNG  # what it says is there all the same
    assert "alignments.png is left out: Seq2Seq does not look back at its source" in caplog.text
