"""`model.embedding=`: embeddings of tokens that start from vectors, a setting of the training and not of the architecture."""

import json

import pytest
import torch

import zoo
from tests.training.compose import compose
from zoo.conf import expand
from zoo.errors import ZooError
from zoo.text import train_tokenizer
from zoo.training import embeddings
from zoo.training.checks import check_config
from zoo.training.identity import config_hash
from zoo.training.run import train
from zoo.training.summary import write_summary

TEXTS = ["O gato dormiu no banco.", "O barco saiu do porto."] * 10
SIZES = {"dim": 4, "depth": 1}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("wordpiece", TEXTS, 300)


@pytest.fixture
def data(tokenizer):
    class Data:
        def training_tokens(self, side):
            return [tokenizer.document(text) for text in TEXTS]

    return Data()


@pytest.fixture
def vectors(tmp_path):
    (tmp_path / "glove.txt").write_text("gato 1 2 3 4\nbarco 5 6 7 8\nhund 0 0 0 0\n")
    return str(tmp_path / "glove.txt")


def made(name, tokenizer, **more):
    n = tokenizer.vocab_size
    pairs = name in ("seq2seq", "bahdanau", "luong", "transformer_2017")
    sizes = (
        {"source_vocab": n, "target_vocab": n}
        if pairs
        else {"vocab_size": n, "context": 16, "num_classes": 0, **({"per_token": False} if name == "bert" else {})}
    )
    heads = {} if name in ("seq2seq", "bahdanau", "luong") else {"num_heads": 2}
    model = zoo.create_model(name, **sizes, **SIZES, **heads, **more)
    model.tokenizer = tokenizer
    return model


@pytest.mark.parametrize("name", ["bert", "gpt", "llama", "seq2seq", "bahdanau", "luong", "transformer_2017"])
def test_vectors_stand_as_they_are_and_all_else_as_it_began(name, tokenizer, data, vectors):
    model = made(name, tokenizer)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = embeddings.start(model, vectors, data, seed=0)
    cat, boat = tokenizer.id("gato"), tokenizer.id("barco")
    for embedding in model.embeddings().values():
        assert embedding.weight[cat].tolist() == [1, 2, 3, 4] and embedding.weight[boat].tolist() == [5, 6, 7, 8]
    same = {id(p) for embedding in model.embeddings().values() for p in embedding.parameters()}
    for key, value in model.state_dict(keep_vars=True).items():
        rows = torch.ones(len(value), dtype=torch.bool)
        if id(value) in same:
            rows[[cat, boat]] = False
        assert torch.equal(value[rows], before[key][rows]), key
    told = found if "tokens" in found else next(iter(found.values()))
    # Two of twelve words, cat and boat, of the text.
    assert told["from"] == "glove.txt" and told["tokens"] == 2 and told["share_of_text"] == pytest.approx(2 / 12)


def test_sides_of_pairs_may_start_from_different_vectors(tokenizer, data, vectors):
    model = made("transformer_2017", tokenizer, joint=False)
    began = model.source_embed.weight.clone()
    found = embeddings.start(model, {"target": vectors}, data, seed=0)
    assert found.keys() == {"target"} and torch.equal(model.source_embed.weight, began)
    assert (
        model.embed.weight[tokenizer.id("gato")].tolist()
        == [1, 2, 3, 4]
        == model.head.weight[tokenizer.id("gato")].tolist()
    )
    assert embeddings.start(made("luong", tokenizer), vectors, data, 0).keys() == {"source", "target"}
    assert embeddings.start(made("transformer_2017", tokenizer), vectors, data, 0).keys() == {"source and target"}
    with pytest.raises(ZooError, match="source and target have one matrix in this Transformer2017"):
        embeddings.start(made("transformer_2017", tokenizer), {"source": vectors}, data, 0)
    with pytest.raises(ZooError, match="did you mean 'source'"):
        embeddings.start(model, {"sauce": vectors}, data, 0)


def test_what_cannot_be_is_refused(tokenizer, data, vectors):
    wide = zoo.create_model("luong", source_vocab=tokenizer.vocab_size, target_vocab=tokenizer.vocab_size, dim=8)
    with pytest.raises(ZooError, match="Luong has no tokenizer"):
        embeddings.start(wide, vectors, data, 0)
    wide.tokenizer = tokenizer
    with pytest.raises(ZooError, match=r"vectors of 4 numbers, and the model has model.dim=8"):
        embeddings.start(wide, vectors, data, 0)
    image = zoo.create_model("vit", num_classes=2, img_size=8, in_chans=1, patch_size=4, **SIZES)
    with pytest.raises(ZooError, match="is of tokens, and ViT has no embeddings of them"):
        embeddings.start(image, "word2vec", data, 0)
    with pytest.raises(ZooError, match="would write over the embeddings of init="):
        check_config(compose("model=gpt", "init=gpt.python_docs", "model.embedding=word2vec"))
    for wrong in ("5", "true", "[a.vec]", "''", "{source: 3}"):
        with pytest.raises(ZooError, match="names no vectors; give word2vec, or a file"):
            check_config(compose("model=gpt", f"model.embedding={wrong}"))


def test_it_is_a_setting_of_the_training():
    """No config of a model knows it, and runs without it are what they were."""
    assert expand(["model.embedding=a.vec", "+model.embedding=b"]) == ["embedding=a.vec", "+embedding=b"]
    assert expand(["model.embeddings=1", "model.dim=8"]) == ["model.embeddings=1", "model.dim=8"]
    with_it, without = compose("model=bert", "model.embedding=word2vec"), compose("model=bert")
    assert with_it.embedding == "word2vec" and "embedding" not in with_it.model
    old = without.copy()
    del old.embedding
    assert config_hash(old) == config_hash(without) != config_hash(with_it)


def test_a_run_tells_its_coverage_and_one_that_goes_on_does_so_again(tmp_path, monkeypatch):
    """A11: a resumed training has the weights of its checkpoint, and does not start from vectors a second time."""
    (tmp_path / "a.vec").write_text("2 4\nmanga 1 2 3 4\nbanco 4 3 2 1\n")
    words = [
        "model=bert", "data=senses", f"model.embedding={tmp_path / 'a.vec'}", "model.dim=4", "model.depth=1",
        f"data.cache={tmp_path}", "model.num_heads=2", "data.each=1",
        "trainer.max_epochs=1", "+trainer.limit_train_batches=1", "test=false",
        "+trainer.enable_progress_bar=false", "callbacks.figures=null", "~logger",
    ]  # fmt: skip
    run = tmp_path / "run"
    first = train(compose(*words, run=run), run)
    assert first.embedding["tokens"] == 2 and "embedding" not in first.config["model"]
    told = write_summary(run, {}, None, first.task.model, first.stopwatch, 0, "", embedding=first.embedding)
    assert json.loads((run / "summary.json").read_text())["embedding"] == told["embedding"] == first.embedding
    monkeypatch.setattr(embeddings, "start", None)
    again = train(compose(*words, "trainer.max_epochs=2", f"ckpt_path={run}", run=run), run)
    assert again.embedding == first.embedding and again.trainer.current_epoch == 2
