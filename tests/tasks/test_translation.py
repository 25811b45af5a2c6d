"""task=translation: one shift, means over tokens (C9), exact match by greedy decoding, a decoder's own tokens."""

import pytest
import torch
from torch.nn import functional as F

from datamodules.pairs import Reverse
from tests.training.compose import compose
from zoo.errors import ZooError
from zoo.models.pairs.bahdanau import Bahdanau
from zoo.models.pairs.luong import Luong
from zoo.models.pairs.seq2seq import Seq2Seq
from zoo.models.pairs.transformer import Transformer2017
from zoo.spec import TextSpec
from zoo.tasks.translation import Translation
from zoo.training.run import train

SGD = {"_target_": "torch.optim.SGD", "lr": 0.1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = Reverse(cache=str(tmp_path_factory.mktemp("cache")), sizes=(24, 8, 8), longest=7, batch_size=8)
    made.setup()
    return made


def task(data, kind=Bahdanau, **how):
    torch.manual_seed(0)
    more = {"depth": 1, "num_heads": 2} if kind is Transformer2017 else {}
    n = data.spec.target_vocab
    made = Translation(kind(n, n, 8, **more), SGD, **how)
    made.model.tokenizer = data.spec.tokenizer
    return made


@pytest.mark.parametrize("kind", [Seq2Seq, Bahdanau, Luong, Transformer2017])
@torch.no_grad()
def test_the_loss_is_that_of_each_sentence_alone(kind, data):
    made, batch = task(data, kind).eval(), next(iter(data.test_dataloader()))
    step, nats = made.step(batch, "test"), 0.0
    for row in range(len(batch)):
        source, target = (
            batch.source[row : row + 1, : batch.lengths[row]],
            batch.target[row : row + 1, : batch.target_lengths[row]],
        )
        logits = made.model(source, target[:, :-1])
        nats += float(F.cross_entropy(logits[0], target[0, 1:], reduction="sum"))
    assert step.count == int((batch.target_lengths - 1).sum())
    assert float(step.loss) == pytest.approx(nats / step.count, rel=1e-5)


def test_exact_match_is_greedy_decoding(data):
    """A model that says the truth, but for one letter in every other row."""
    made, batch = task(data), next(iter(data.test_dataloader()))
    truth = batch.target.clone()
    truth[::2, 2] = (truth[::2, 2] + 1) % 4

    def decode(target, memory, state=None):
        at = (0 if state is None else state) + target.shape[1]
        return F.one_hot(truth[:, min(at, truth.shape[1] - 1)], data.spec.target_vocab)[:, None].float(), at

    made.model.encode, made.model.decode = lambda source, lengths=None: None, decode
    right, count = made._exact(batch, made._say(batch, "val"))
    changed = (truth != batch.target).any(1)
    assert (int(right), count) == (int((~changed).sum()), 8.0) and changed.any() and not changed.all()


@torch.no_grad()
def test_label_smoothing_is_for_training_and_the_papers_where_nothing_is_said(data):
    batch = next(iter(data.test_dataloader()))
    for kind, usual in ((Seq2Seq, 0.0), (Transformer2017, 0.1)):
        made = task(data, kind).eval()
        assert made.label_smoothing == usual
        plain, smooth = float(made.step(batch, "val").loss), float(made.step(batch, "train").loss)
        assert (plain == smooth) == (usual == 0)


def test_teacher_forcing_is_drawn_for_each_step_and_sentence(data):
    """1 is the whole forward, 0 the model's own tokens; what is between depends on seed, epoch and sentence alone."""
    batch = next(iter(data.train_dataloader()))
    made = task(data, teacher_forcing=0.5).eval()
    given = batch.target[:, :-1]
    made.teacher_forcing = 1.0
    torch.testing.assert_close(made._free(batch, given), made.model(batch.source, given, batch.lengths))
    made.teacher_forcing = 0.0
    free = made._free(batch, given)
    own = torch.cat([given[:, :1], free.argmax(-1)[:, :-1]], 1)
    torch.testing.assert_close(made.model(batch.source, own, batch.lengths), free)
    made.teacher_forcing = 0.5
    once = made._free(batch, given)
    assert torch.equal(once, made._free(batch, given))
    batch.epoch += 1
    assert not torch.equal(once, made._free(batch, given))


@pytest.mark.parametrize(
    ("how", "match"),
    [
        (dict(teacher_forcing=1.5), r"task.teacher_forcing=1.5 is not a probability"),
        (dict(label_smoothing=1.0), r"task.label_smoothing=1.0 is not a share"),
        (dict(kind=Seq2Seq, teacher_forcing=0.5), "this Seq2Seq reads a target in one call"),
        (dict(kind=Transformer2017, teacher_forcing=0.5), "this Transformer2017 reads a target in one call"),
    ],
)
def test_bad_input_is_a_sentence(how, match, data):
    with pytest.raises(ZooError, match=match):
        task(data, **how)


def test_other_data_are_refused():
    with pytest.raises(ZooError, match="Translation learns from pairs of sequences, and the data has text"):
        Translation.outputs(TextSpec(vocab_size=3, context=4))


@pytest.mark.parametrize(
    "words",
    [
        ("model=seq2seq", "model.cell=lstm", "model.context=initial"),
        ("model=bahdanau", "score=scaled_dot", "task.teacher_forcing=0.7"),
        ("model=luong", "score=local_p", "model.input_feeding=false"),
        ("model=luong", "pattern=local_m", "score=dot"),
        ("model=transformer_2017", "score=additive", "model.order=pre_norm", "model.num_heads=2"),
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_each_system_trains_and_loads_again(words, tmp_path):
    import zoo

    small = (
        "data.sizes=[16,4,4]",
        "data.letters=3",
        "data.longest=6",
        "data.batch_size=8",
        "trainer.max_epochs=1",
        "model.dim=8",
        "callbacks=none",
    )
    config = compose(*words, *small, f"paths.cache={tmp_path}", "~logger", run=tmp_path)
    record = train(config, None)
    assert {"test/loss", "test/perplexity", "test/exact_match", "test/tokens"} <= record.metrics.keys()
    folder = zoo.save(record.task.model, tmp_path / "model")
    batch = next(iter(record.data.test_dataloader()))
    again, model = zoo.load(folder), record.task.model.eval()
    torch.testing.assert_close(
        again(batch.source, batch.target, batch.lengths), model(batch.source, batch.target, batch.lengths)
    )
    made = again.generate(batch.source, batch.lengths, max_new_tokens=3, num_beams=2)
    assert made.ids.shape[0] == 4
