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
