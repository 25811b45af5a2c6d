"""Language modelling: one mean over the tokens of a step (C9), objectives drawn for a sample and not in a row."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from datamodules.text import TextBatch
from tests.tasks.test_contract import Batches
from tests.tasks.tiny import ADAMW, make_trainer, weights
from zoo.attention import Causal
from zoo.errors import ZooError
from zoo.models.language.bert import BERT
from zoo.models.language.gpt import GPT
from zoo.spec import ImageSpec, TextSpec
from zoo.tasks.draws import uniform
from zoo.tasks.language_modelling import LanguageModelling
from zoo.tasks.objectives import NOTHING, ask
from zoo.text import train_tokenizer

ROOT = Path(__file__).resolve().parents[2]
SGD = {"_target_": "torch.optim.SGD", "lr": 1.0}
SIZES = dict(vocab_size=11, context=8, dim=8, depth=1, num_heads=2)


def make(kind=GPT, **more):
    torch.manual_seed(0)
    return LanguageModelling(kind(**SIZES).double(), **{"optimizer": SGD, **more})


def batch(part=slice(None), **more):
    """Eight rows; each asks for another number of tokens, 1 to 8."""
    ids = torch.randint(11, (8, 9), generator=torch.Generator().manual_seed(1))
    targets = ids[:, 1:].clone()
    for row in range(8):
        targets[row, :row] = NOTHING
    whole = TextBatch(ids[:, :-1], targets, sample=torch.arange(8))
    chosen = {name: getattr(whole, name)[part] for name in ("ids", "targets", "sample")}
    return TextBatch(**{**chosen, **more})


def stepped(batches, **trainer):
    task = make()
    make_trainer(1, **trainer).fit(task, Batches(batches), Batches(batches[:1]))
    return weights(task.model)


def same(a, b, most=1e-6):
    return all((a[name] - b[name]).abs().max() <= most for name in a)


def test_c9_gradients_of_parts_are_those_of_the_big_batch():
    whole = stepped([batch()])
    torch.manual_seed(0)
    ours, like = make(), batch()
    loss = F.cross_entropy(ours.model(like.ids).flatten(0, 1), like.targets.flatten(), ignore_index=NOTHING)
    loss.backward()
    by_hand = {n: (p - p.grad).detach() for n, p in ours.model.named_parameters()}
    assert same(by_hand, whole)
    for size in (1, 2, 4):
        parts = [batch(slice(i, i + size)) for i in range(0, 8, size)]
        assert same(whole, stepped(parts, accumulate_grad_batches=len(parts))), size
    three = [batch(slice(0, 1)), batch(slice(1, 5)), batch(slice(5, 8))]
    assert same(whole, stepped(three, accumulate_grad_batches=3)), "rows of other numbers"


def test_c9_a_last_step_of_fewer_parts():
    """An epoch of three batches, two a step: the last step has one."""
    parts = [batch(slice(0, 3)), batch(slice(3, 6)), batch(slice(6, 8))]
    expected = stepped([batch(slice(0, 6)), batch(slice(6, 8))])
    assert same(expected, stepped(parts, accumulate_grad_batches=2))


def test_a_batch_without_targets_changes_nothing():
    nothing = batch(slice(0, 2), targets=torch.full((2, 8), NOTHING))
    assert same(stepped([batch()]), stepped([batch(), nothing], accumulate_grad_batches=2))
    assert all(torch.isfinite(value).all() for value in stepped([nothing]).values())


def test_clipping_sees_the_mean():
    """The gradient is a mean before it is clipped."""
    small = dict(gradient_clip_val=0.05)
    whole = stepped([batch()], **small)
    parts = [batch(slice(i, i + 2)) for i in range(0, 8, 2)]
    assert same(whole, stepped(parts, accumulate_grad_batches=4, **small))
    assert not same(whole, stepped([batch()]), 1e-3), "it was clipped"


# ---- what is asked


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("wordpiece", ["a cat and a dog and the bird sat on a mat"] * 3, 90)


def test_draws_are_of_the_sample_and_not_of_the_batch():
    sample = torch.arange(100)
    all_ = uniform(3, 1, sample, 7)
    assert torch.equal(all_[40:60], uniform(3, 1, sample[40:60], 7))
    assert torch.equal(all_[:, :4], uniform(3, 1, sample, 4))
    for other in (uniform(4, 1, sample, 7), uniform(3, 2, sample, 7), uniform(3, 1, sample, 7, purpose=1)):
        assert (all_ != other).all()
    many = uniform(0, 0, torch.arange(20000), 10)
    assert many.min() >= 0 and many.max() < 1 and abs(many.mean() - 0.5) < 2e-3 and abs(many.var() - 1 / 12) < 1e-3
    lag = [((many[:, 1:] - 0.5) * (many[:, :-1] - 0.5)).mean(), ((many[1:] - 0.5) * (many[:-1] - 0.5)).mean()]
    assert max(abs(x) for x in lag) < 1e-3


def test_a_prefix_is_seen_and_not_asked_for():
    given = batch(targets=batch().ids.roll(-1, 1))
    asked = ask("prefix", given, None)
    n = asked.sees.right.n
    assert n.min() >= 1 and n.max() <= 7 and len(n.unique()) > 2
    for row in range(8):
        assert (asked.targets[row] == NOTHING).tolist() == [place < n[row] - 1 for place in range(8)]
    assert torch.equal(asked.sees.right.n, ask("prefix", given, None).sees.right.n)
    alone = batch(slice(3, 4), targets=given.targets[3:4])
    assert torch.equal(ask("prefix", alone, None).targets, asked.targets[3:4]), "whatever the batch"
    assert not torch.equal(ask("prefix", batch(epoch=1), None).sees.right.n, n)
    task = make(objective="prefix")
    assert task.step(given, "train").count == int((asked.targets != NOTHING).sum())


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_masked_tokens_are_those_of_devlin(rate, tokenizer):
    n = 400
    ids = torch.randint(5, tokenizer.vocab_size, (50, n), generator=torch.Generator().manual_seed(0))
    ids[:, 0] = tokenizer.bos
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[0, 200:] = False
    how = {} if rate == 0.15 else {"mask_rate": rate}
    asked = ask("masked", TextBatch(ids, ids, mask, sample=torch.arange(50)), tokenizer, **how)
    chosen = asked.targets != NOTHING
    assert torch.equal(asked.targets[chosen], ids[chosen]), "the token itself, nothing is shifted"
    assert torch.equal(asked.ids[~chosen], ids[~chosen])
    special = torch.isin(ids, torch.tensor(sorted(tokenizer.special)))
    assert not (chosen & special).any() and not chosen[0, 200:].any()
    free = (~special & mask).sum(1)
    assert torch.equal(chosen.sum(1), (free * rate).round().long())
    shown = asked.ids[chosen]
    hidden, kept = (shown == tokenizer.mask).float().mean(), (shown == ids[chosen]).float().mean()
    assert abs(hidden - 0.8) < 0.03 and abs(kept - 0.1 - 0.1 / tokenizer.vocab_size) < 0.03
    short = TextBatch(torch.tensor([[tokenizer.bos, 9]]), torch.zeros(1, 2), sample=torch.tensor([0]))
    assert (ask("masked", short, tokenizer).targets != NOTHING).tolist() == [[False, True]], "one at least"


def test_the_model_says_what_it_is_trained_for(tokenizer):
    assert make().objective == "causal" and make(BERT).objective == "masked"
    task = make(BERT, objective="causal")
    assert task.objective == "causal"
    step = task.step(batch(), "train")
    by_hand = task.model(batch().ids, sees=Causal())
    expected = F.cross_entropy(by_hand.flatten(0, 1), batch().targets.flatten(), ignore_index=NOTHING)
    torch.testing.assert_close(step.loss, expected)
    masked = LanguageModelling(BERT(**{**SIZES, "vocab_size": tokenizer.vocab_size}), SGD)
    masked.model.tokenizer = tokenizer
    found = masked.step(batch(ids=batch().ids + 5), "train")
    assert found.count == 8 and not found.means and not masked.derived({"loss": found.loss})
    more = LanguageModelling(masked.model, SGD, mask_rate=0.5)
    assert more.step(batch(ids=batch().ids + 5), "train").count == 32 and more.hparams.mask_rate == 0.5


def test_documents_of_a_row_do_not_see_each_other():
    """1e-10 in float64: packed or alone, the same loss."""
    first, second = batch().ids[0, :5], batch().ids[1, :3]
    ids = torch.cat([first, second]).unsqueeze(0)
    targets = ids.roll(-1, 1)
    targets[0, 4] = targets[0, 7] = NOTHING
    documents, pos = torch.tensor([[0] * 5 + [1] * 3]), torch.tensor([[*range(5), *range(3)]])
    task = make()
    packed = task.step(TextBatch(ids, targets, pos=pos, documents=documents), "val")
    alone = [task.step(TextBatch(part[None], part.roll(-1)[None]), "val") for part in (first, second)]
    nats = [F.cross_entropy(step.outputs[:-1], step.targets[:-1], reduction="sum") for step in alone]
    assert abs(packed.loss * packed.count - sum(nats)) < 1e-10


def test_what_is_refused():
    with pytest.raises(ZooError, match=r"task.objective='cuasal' is unknown; did you mean 'causal'"):
        make(objective="cuasal")
    with pytest.raises(ZooError, match="hides words behind a mask token, and this tokenizer has none"):
        make(objective="masked").step(batch(), "train")
    for rate in (0, 1, True, "half"):
        with pytest.raises(ZooError, match=f"task.mask_rate={rate} is not a share of the tokens"):
            make(BERT, mask_rate=rate)
    with pytest.raises(ZooError, match=r"task.mask_rate is of task.objective=masked, .* learns by 'causal'"):
        make(mask_rate=0.3)
    with pytest.raises(ZooError, match="LanguageModelling learns from text, and the data has images"):
        LanguageModelling.outputs(ImageSpec(img_size=8, in_chans=1))
    assert LanguageModelling.outputs(TextSpec(vocab_size=11, context=8)) == 0
    with pytest.raises(ZooError, match="head is a classifier of texts"):
        LanguageModelling(GPT(**SIZES, num_classes=3), ADAMW)


def test_json_is_plain():
    """Hyper-parameters go into checkpoints as they are (A7)."""
    json.dumps({key: value for key, value in make(objective="prefix").hparams.items() if key != "model"})
