"""Tags of words: gradients by the number of words (C9), who is refused, and where the weights begin."""

import pytest
import torch

import zoo
from datamodules.text import TaggedText
from tests.tasks.test_contract import Batches
from tests.tasks.texts import TAGS, Tagger, sentences
from tests.tasks.tiny import ADAMW, make_trainer, weights
from zoo.errors import ZooError
from zoo.models.fit import fit
from zoo.models.language.gpt import GPT
from zoo.pretrained import initialise
from zoo.spec import TextSpec
from zoo.tasks import token_classification
from zoo.tasks.noise import WordDropout
from zoo.tasks.token_classification import TokenClassification

BERT = {"_target_": "zoo.models.language.bert.BERT", "vocab_size": 11, "dim": 8, "depth": 1, "num_heads": 2}
SPEC = TextSpec(vocab_size=11, context=6, classes=TAGS, targets="tags")


def batch(part):
    ids, tags, gold, places = (tensor[part] for tensor in sentences(8))
    return TaggedText(ids, ids, tags=tags, gold=gold, places=places)


def stepped(parts):
    torch.manual_seed(0)
    task = TokenClassification(Tagger().double(), {"_target_": "torch.optim.SGD", "lr": 1.0})
    trainer = make_trainer(1, accumulate_grad_batches=len(parts))
    trainer.fit(task, Batches([batch(part) for part in parts]), Batches([batch(parts[0])]))
    return weights(task.model)


def test_c9_gradients_of_parts_by_the_number_of_words():
    whole = stepped([slice(None)])
    for parts in ([slice(0, 1), slice(1, 6), slice(6, 8)], [slice(i, i + 2) for i in range(0, 8, 2)]):
        found = stepped(parts)
        assert all((found[name] - whole[name]).abs().max() < 1e-6 for name in whole)


def test_a_model_of_whole_texts_is_refused():
    """Nothing of a decoder, or of a classifier of texts, says something of each word."""
    with pytest.raises(ZooError, match="This GPT does not classify each token"):
        TokenClassification(GPT(11, 6, 8, 1, 2, num_classes=5), ADAMW)
    with pytest.raises(ZooError, match=r"model\.per_token=false, but the data has a tag a word a row"):
        fit({**BERT, "context": None, "num_classes": None, "per_token": False}, SPEC, 5)
    assert fit({**BERT, "context": None, "num_classes": None, "per_token": None}, SPEC, 5)["per_token"] is True


def test_seqeval_is_missed_before_training(monkeypatch):
    monkeypatch.setattr(token_classification, "find_spec", lambda name: None)
    task = TokenClassification(Tagger(), ADAMW)
    with pytest.raises(ZooError, match=r"pip install 'attention-zoo\[text\]'"):
        make_trainer().fit(task, Batches([batch(slice(None))]), Batches([batch(slice(None))]))
    assert not task.totals["train"].counts


@pytest.mark.parametrize("classes", [None, ("a", "b", "c", "d", "e"), ("O", "B-A", "I-A", "B-", "x")])
def test_names_that_are_no_tags(classes):
    task = TokenClassification(Tagger(), ADAMW)
    task.model.classes = classes
    with pytest.raises(ZooError, match="are no tags of words"):
        make_trainer().validate(task, Batches([batch(slice(None))]), verbose=False)


def test_weights_of_a_masked_model_and_of_a_classifier_of_texts(tmp_path):
    """What changed is told; the pooler of a classifier goes, the blocks stay."""
    for name, source in (("mlm", {}), ("texts", {"num_classes": 5})):
        model = zoo.build({**BERT, "context": 6, **source})
        zoo.save(model, tmp_path / name)
        config = fit({**BERT, "context": None, "num_classes": None, "per_token": None}, SPEC, 5)
        made, changes = initialise(config, str(tmp_path / name), {"vocab_size": 11, "num_classes": 5})
        assert made.per_token and made.pooler is None and made(torch.zeros(1, 3, dtype=torch.long)).shape == (1, 3, 5)
        assert torch.equal(made.embed.weight, model.embed.weight)
        told = {change.name: change.how for change in changes}
        if name == "mlm":
            assert told["head.weight"] == "new" and "left out" in told["token_head.transform.weight"]
        else:
            assert "left out" in told["pooler.weight"]
        back, changes = initialise({**BERT, "num_classes": 0}, str(tmp_path / name), {"vocab_size": 11})
        assert type(back) is type(model)


class Masks:
    """A tokenizer whose tokens 0 and 1 begin and end a text."""

    mask, special = 10, frozenset({0, 1, 10})


def noisy(rate=0.5, **more):
    """Rows of a beginning, words of one to three tokens, an end; of the second row the last word has no token."""
    ids = torch.tensor([[0, 2, 3, 4, 5, 6, 7, 1], [0, 2, 2, 3, 4, 5, 1, 0]]).repeat(200, 1)
    places = torch.tensor([[1, 2, 5], [1, 3, -1]]).repeat(200, 1)
    given = TaggedText(ids, ids, places=places, sample=torch.arange(400), **more)
    return given, WordDropout(rate)(given, Masks)


def test_hidden_words_are_whole_and_of_the_sample():
    given, shown = noisy(seed=1, epoch=2)
    hidden = shown != given.ids
    assert (shown[hidden] == Masks.mask).all() and not hidden[:, 0].any()
    first, second = hidden[::2], hidden[1::2]
    assert not first[:, 7].any() and not second[:, 6:].any(), "special tokens are left alone"
    for row, words in ((first, ([1], [2, 3, 4], [5, 6])), (second, ([1, 2], [3, 4, 5]))):
        for word in words:
            assert (row[:, word] == row[:, word[:1]]).all(), "all tokens of a word, or none"
            assert 0.35 < row[:, word[0]].float().mean() < 0.65
    assert not torch.equal(noisy(seed=1, epoch=3)[1], shown), "others each epoch"
    part = TaggedText(
        given.ids[7:9], given.ids[7:9], places=given.places[7:9], sample=torch.arange(7, 9), seed=1, epoch=2
    )
    assert torch.equal(WordDropout(0.5)(part, Masks), shown[7:9]), "whatever the batch"


def test_noise_is_of_training_alone():
    noise = {"_target_": "zoo.tasks.noise.WordDropout", "rate": 0.9}
    torch.manual_seed(0)
    plain, task = (TokenClassification(Tagger(), ADAMW, noise=each) for each in (None, noise))
    task.model = plain.model
    plain.model.tokenizer = Masks
    given = batch(slice(None))
    losses = {
        stage: [float(each.step(given, stage).loss.item()) for each in (plain, task)] for stage in ("train", "val")
    }
    assert losses["val"][0] == losses["val"][1] and losses["train"][0] != losses["train"][1]
    assert task.hparams.noise == noise


def test_noise_that_cannot_be():
    for rate in (0, 1, True, "half"):
        with pytest.raises(ZooError, match=f"task.noise.rate={rate} is not a share of the words"):
            WordDropout(rate)
    with pytest.raises(ZooError, match="hides words behind a mask token, and this tokenizer has none"):
        WordDropout()(batch(slice(None)), None)
