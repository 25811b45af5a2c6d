"""task=extractive_qa: logits of contexts alone, the best span, SQuAD's figures, each question once (C5, C9, A12)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.sampling import BatchIndex
from datamodules.text import Stories
from tests.tasks.tiny import make_trainer
from zoo.errors import ZooError
from zoo.models.language.bert import BERT
from zoo.models.language.gpt import GPT
from zoo.models.language.spans import best_span, span_logits
from zoo.spec import TextSpec
from zoo.tasks.classification import Classification
from zoo.tasks.extractive_qa import ExtractiveQA, squad

SGD = {"_target_": "torch.optim.SGD", "lr": 0.1}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def data(cache):
    """data(**options): stories in rows that hold about half of a longer one."""

    def make(**options):
        given = {"tokenizer": {"kind": "wordpiece", "vocab_size": 200}, "context": 24, "batch_size": 8}
        made = Stories(cache=cache, sizes=(24, 8, 11), **{**given, **options})
        made.setup()
        return made

    return make


def task(data, **how):
    torch.manual_seed(0)
    n = data.spec.vocab_size
    model = BERT(n, data.context, 8, 1, 2, num_classes=2, per_token=True, **how.pop("model", {}))
    return ExtractiveQA(model, SGD, **how)


# -- the best span -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 11), st.integers(0, 10**6))
def test_the_best_span_is_that_of_all(L, limit, seed):
    draw = torch.Generator().manual_seed(seed)
    start, end = torch.randint(-3, 4, (2, 4, L), generator=draw).float()
    there = torch.arange(L) < torch.randint(1, L + 1, (4, 1), generator=draw)
    start, end = start.where(there, -torch.inf), end.where(there, -torch.inf)
    first, last, score = best_span(start, end, limit)
    for b in range(4):
        spans = [(-float(start[b, i] + end[b, j]), j - i, i) for i in range(L) for j in range(i, min(L, i + limit))]
        worst, longer, i = min(spans)
        assert (int(first[b]), int(last[b]), float(score[b])) == (i, i + longer, -worst)
        assert there[b, last[b]]


def test_tokens_of_question_and_ends_count_nowhere(data):
    """Whatever the model says of them, and of padding: no gradient, and the loss stays (C5)."""
    batch = next(iter(data().test_dataloader()))
    logits = torch.randn(*batch.ids.shape, 2, dtype=torch.float64, requires_grad=True)
    span_logits(logits, batch.places).where(batch.places.unsqueeze(-1) >= 0, 0).sum().backward()
    asked = torch.zeros(batch.ids.numel(), dtype=torch.bool)
    asked[batch.places[batch.places >= 0]] = True
    assert torch.equal((logits.grad != 0).flatten(0, 1).all(-1), asked)
    assert not (asked.view(batch.ids.shape) & ((batch.segments == 0) | ~batch.mask)).any()
    assert int(asked.sum()) == int((batch.places >= 0).sum()), "each token of a context is asked once"


@torch.no_grad()
def test_the_loss_is_that_of_each_question_alone(data):
    """Over the tokens of its own context, all windows together; shifted softmax of question after question (C5)."""
    found = data()
    made, test = task(found).double().eval(), found.dataset("test")
    batch = test.__getitems__(BatchIndex(0, list(range(11))))
    assert len(batch.ids) > 11, "some stories take several windows"
    step, nats = made.step(batch, "test"), 0.0
    for number in range(11):
        one = test.__getitems__(BatchIndex(0, [number]))
        logits = made.model(one.ids, one.mask, one.segments).flatten(0, 1)[one.places[0]]
        nats -= float((logits[one.start[0], 0] - logits[:, 0].logsumexp(0)).item())
        nats -= float((logits[one.end[0], 1] - logits[:, 1].logsumexp(0)).item())
    assert step.count == 11 and float(step.loss) == pytest.approx(nats / 22, rel=1e-12)


def test_segments_tell_question_and_context_apart(data):
    found = data()
    batch = next(iter(found.test_dataloader()))
    made = task(found).double().eval().model
    with torch.no_grad():
        assert len(made.inputs(batch)) == 3
        plain, apart = made(batch.ids, batch.mask), made(*made.inputs(batch))
        assert not torch.allclose(plain, apart)
        made.segments.weight[1] = made.segments.weight[0]
        assert torch.allclose(plain, made(*made.inputs(batch)), rtol=0, atol=1e-14)
    for without in ({"segments": 0}, {"segments": 1}):
        assert len(task(found, model=without).model.inputs(batch)) == 2
    with pytest.raises(ZooError, match="BERT has no segments"):
        task(found, model={"segments": 0}).model(batch.ids, batch.mask, batch.segments)


# -- figures ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said, answers, exact, f1",
    [
        ("the Sala!", ("sala",), 1, 1),
        ("cozinha", ("sala", "Cozinha"), 1, 1),
        ("sala", ("cozinha",), 0, 0),
        ("a big red house", ("red house", "tree"), 0, 4 / 5),
        ("red red house", ("red house",), 0, 4 / 5),
        ("sala", ("the",), 0, 0),
    ],
)
def test_figures_by_hand(said, answers, exact, f1):
    """Rajpurkar et al. 2016: case, punctuation and articles left out, words counted, the nearest answer."""
    assert squad(said, answers) == pytest.approx((exact, f1), abs=1e-6)


class Truth(BERT):
    """Says the truth of every question but each third, of which it says the first token of the context."""

    def inputs(self, batch):
        self.batch = batch
        return super().inputs(batch)

    def forward(self, ids, mask=None, segments=None, **how):
        batch, said = self.batch, torch.zeros(ids.numel(), 2)
        for b, name in enumerate(batch.names):
            wrong = int(name) % 3 == 0
            for side, token in enumerate((batch.start[b], batch.end[b])):
                said[batch.places[b, 0 if wrong else token], side] = 9.0
        return said.view(*ids.shape, 2) + self.head.bias


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
def test_each_question_counts_once_whatever_the_batches(batch_size, data):
    """A12, A13: test/samples are questions; SQuAD's figures are those of one pass."""
    found = data(batch_size=batch_size)
    made = ExtractiveQA(Truth(found.spec.vocab_size, 24, 8, 1, 2, num_classes=2, per_token=True), SGD)
    trainer = make_trainer()
    trainer.test(made, datamodule=found, verbose=False)
    wrong = sum(int(each.name) % 3 == 0 for each in found.source.questions["test"])
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert metrics["test/samples"] == 11 and wrong
    assert metrics["test/exact_match"] == pytest.approx(1 - wrong / 11) == pytest.approx(metrics["test/f1"])


def test_processes_share_the_questions(data):
    """A12: windows of a question stay together, each question on one process."""
    from datamodules.sampling import EvalBatches

    test = data().dataset("test")
    names = [
        name
        for rank in range(3)
        for draw in EvalBatches(len(test), 6, rank, 3)
        for name in test.__getitems__(draw).names
    ]
    assert len(test) == 11 and sorted(names, key=int) == [question.name for question in test.found.questions["test"]]


@pytest.mark.parametrize("parts", [2, 4])
def test_c9_accumulated_gradients_are_those_of_one_batch(parts, data):
    """C9, whatever the number of windows of each part."""
    whole, cut = (data(batch_size=n) for n in (24, 24 // parts))
    found = []
    for module, accumulated in ((whole, 1), (cut, parts)):
        made = task(module).double()
        trainer = make_trainer(accumulate_grad_batches=accumulated, precision="64-true")
        trainer.fit(made, datamodule=module)
        assert trainer.global_step == 1
        found.append(torch.cat([parameter.detach().flatten() for parameter in made.parameters()]))
    assert (found[0] - found[1]).abs().max() < 1e-8  # the mean's factor is float32


# -- what is refused ---------------------------------------------------------------------------------------------------------


def test_what_is_refused(data, tmp_path):
    found = data()
    for length in (0, True, 1.5):
        with pytest.raises(ZooError, match=f"task.max_answer_length={length} is not a number of tokens"):
            task(found, max_answer_length=length)
    n = found.spec.vocab_size
    for model in (GPT(n, 24, 8, 1, 2, num_classes=2), BERT(n, 24, 8, 1, 2, num_classes=2), BERT(n, 24, 8, 1, 2)):
        with pytest.raises(ZooError, match=r"does not give two numbers a token.*take model=bert"):
            ExtractiveQA(model, SGD)
    with pytest.raises(ZooError, match=r"ExtractiveQA learns from a span .*, and the data has its own tokens"):
        ExtractiveQA.outputs(TextSpec(vocab_size=9, context=8))
    assert ExtractiveQA.outputs(found.spec) == 2
    with pytest.raises(ZooError, match=r"learns from .*and the data has a span"):
        Classification.outputs(found.spec)
