"""Models of pairs with a tokenizer a side: folders, checkpoints, init=; hostile files (A7, A8)."""

import json

import pytest
import torch

import zoo
from zoo.errors import ZooError
from zoo.models.fit import tokenizers_of
from zoo.pretrained import initialise, tokenizers_in
from zoo.tasks import Translation
from zoo.text import train_tokenizer

OPTIMIZER = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1}


@pytest.fixture(scope="module")
def theirs():
    read, said = (train_tokenizer("words", [text], min_count=1) for text in ("ein Mann läuft", "a man runs there"))
    return {"tokenizer": said, "source_tokenizer": read}


def model_of(theirs, name="bahdanau", **how):
    sizes = {"source_vocab": theirs["source_tokenizer"].vocab_size, "target_vocab": theirs["tokenizer"].vocab_size}
    model = zoo.create_model(name, dim=8, **sizes, **how)
    model.tokenizer, model.source_tokenizer = theirs["tokenizer"], theirs["source_tokenizer"]
    return model


def test_a_folder_has_both(theirs, tmp_path):
    model = model_of(theirs)
    zoo.save(model, tmp_path / "two")
    assert set(json.loads((tmp_path / "two" / "card.json").read_text())["files"]) >= {"source_tokenizer.json"}
    again = zoo.load(tmp_path / "two")
    assert tokenizers_of(again) == theirs == tokenizers_in(tmp_path / "two")
    model.source_tokenizer = None
    assert model.source_tokenizer is model.tokenizer and tokenizers_of(model) == {"tokenizer": theirs["tokenizer"]}
    zoo.save(model, tmp_path / "one")
    assert not (tmp_path / "one" / "source_tokenizer.json").exists()
    assert "source_tokenizer" not in json.loads((tmp_path / "one" / "config.json").read_text())
    one = zoo.load(tmp_path / "one")
    assert one.source_tokenizer is one.tokenizer == theirs["tokenizer"]


def test_a_checkpoint_has_both(theirs, tmp_path):
    """Of a run that did not finish: its file alone."""
    task = Translation(model_of(theirs), OPTIMIZER)
    kept = {"state_dict": task.state_dict(), "hyper_parameters": {"model": task.model.config}}
    task.on_save_checkpoint(kept)
    torch.save(kept, tmp_path / "last.ckpt")
    assert tokenizers_in(tmp_path / "last.ckpt") == theirs == tokenizers_of(zoo.load(tmp_path / "last.ckpt"))


def test_init_of_other_vocabularies(theirs, tmp_path):
    """Its tokenizers come along; data of more tokens than it knows are refused by name."""
    zoo.save(model_of(theirs), tmp_path / "m")
    config = {"_target_": "zoo.models.pairs.bahdanau.Bahdanau", "source_vocab": 8, "target_vocab": 9, "dim": 8}
    model, changes = initialise(config, str(tmp_path / "m"), {"source_vocab": 8, "target_vocab": 9})
    assert tokenizers_of(model) == theirs and not changes
    with pytest.raises(ZooError, match="vocabulary of what is read: source_vocab=8, and the data has source_vocab=90"):
        initialise(config, str(tmp_path / "m"), {"source_vocab": 90, "target_vocab": 9})


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda f, c: (f / "source_tokenizer.json").unlink(), "There is no file"),
        (lambda f, c: (f / "source_tokenizer.json").write_text("[" * 100_000), "is no tokenizer.json"),
        (lambda f, c: (f / "source_tokenizer.json").write_text('{"kind": "exec"}'), "is no tokenizer of this project"),
        (
            lambda f, c: (f / "source_tokenizer.json").write_text('{"kind": "byte"}'),
            "source_tokenizer has 259 tokens and the",
        ),
        (
            lambda f, c: c.update(source_tokenizer={"kind": "words", "bos": "x"}),
            "source_tokenizer.bos='x' is not an id",
        ),
        (lambda f, c: c.update(source_tokenizer=7), "source_tokenizer=7 does not tell a kind and ids"),
        (lambda f, c: c.update(source_tokenizer={"kind": "words", "bos": 10**9}), "has no token 1000000000 for bos"),
    ],
)
def test_hostile_folders(spoil, match, theirs, tmp_path):
    folder = zoo.save(model_of(theirs), tmp_path / "m")
    (folder / "card.json").unlink()
    content = json.loads((folder / "config.json").read_text())
    spoil(folder, content)
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match=match):
        zoo.load(folder)


def test_a_model_that_reads_no_other_text_is_given_none(theirs, tmp_path):
    gpt = zoo.create_model("gpt", num_classes=0, vocab_size=20, context=8, dim=8, depth=1, num_heads=2)
    gpt.tokenizer = theirs["tokenizer"]
    folder = zoo.save(gpt, tmp_path / "gpt")
    (folder / "card.json").unlink()
    theirs["source_tokenizer"].save(folder / "source_tokenizer.json")
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"source_tokenizer": theirs["source_tokenizer"].roles}))
    with pytest.raises(
        ZooError, match="a source_tokenizer for GPT, which does not read text of one kind to say another"
    ):
        zoo.load(folder)


def test_one_vocabulary_size_by_chance_is_not_one_embedding(theirs):
    """C14: transformer_2017 ties its embeddings where there is one tokenizer, not where two have as many tokens."""
    from zoo.spec import PairSpec
    from zoo.tasks.fit import fit

    said = theirs["tokenizer"]
    config = {"model": {"_target_": "zoo.models.pairs.transformer.Transformer2017", "joint": None, "source_vocab": None,
                        "target_vocab": None}, "task": {"_target_": "zoo.tasks.translation.Translation"}}  # fmt: skip
    for other, joint in ((None, True), (said, False)):
        spec = PairSpec(source_vocab=9, target_vocab=9, tokenizer=said, source_tokenizer=other)
        assert fit(config, spec)["model"]["joint"] is joint


def test_a_checkpoint_of_other_tokens_is_not_gone_on_from(theirs):
    """As many of each, so nothing else would tell: on resuming the ids would mean other words."""
    task, other = (Translation(model_of(theirs), OPTIMIZER) for _ in range(2))
    kept: dict = {"state_dict": task.state_dict()}
    task.on_save_checkpoint(kept)
    other.on_load_checkpoint(kept)
    shifted = train_tokenizer("words", ["ein Hund läuft"], min_count=1)
    assert shifted.vocab_size == theirs["source_tokenizer"].vocab_size
    other.model.source_tokenizer = shifted
    with pytest.raises(ZooError, match="trained with another source_tokenizer than the data's, words of 8 tokens"):
        other.on_load_checkpoint(kept)
    other.model.source_tokenizer = theirs["source_tokenizer"]
    kept["source_tokenizer"]["json"] = json.dumps(json.loads(kept["source_tokenizer"]["json"]), indent=1)
    other.on_load_checkpoint(kept)  # written otherwise, the same
    with pytest.raises(ZooError, match="the tokenizer of the checkpoint is no text and roles"):
        other.on_load_checkpoint({**kept, "tokenizer": {"json": 7}})
    other.on_load_checkpoint({"state_dict": kept["state_dict"]})  # older ones tell of none
