"""A language model as a start: for the same task, for a classifier of texts, and back; with its tokenizer."""

import pytest
import torch

import zoo
from tests.tasks.tiny import make_trainer
from tests.training.compose import compose
from zoo.config import plain
from zoo.errors import ZooError
from zoo.models.fit import check_tokenizer, label
from zoo.models.fit import fit as fit_model
from zoo.pretrained import initialise, tokenizer_of
from zoo.spec import TextSpec
from zoo.text import train_tokenizer

SMALL = ("model.dim=16", "model.depth=1", "model.num_heads=2")
IDS = torch.randint(260, (2, 6), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("byte", [])


def config(name, classes=0, **sizes):
    spec = TextSpec(vocab_size=sizes.pop("vocab_size", 260), context=8)
    return fit_model(plain(compose(f"model={name}", *SMALL))["model"], spec, classes) | sizes


def saved(folder, name, tokenizer=None, classes=0, **sizes):
    model = zoo.build(config(name, classes, **sizes)).eval()
    model.tokenizer = tokenizer
    zoo.save(model, folder)
    return model


@pytest.mark.parametrize("name", ["gpt", "llama", "bert"])
def test_a_tokenizer_comes_with_the_model(name, tokenizer, tmp_path):
    """Saved with it, checked when it is read, handed to the data by init=."""
    model = saved(tmp_path / "model", name, tokenizer)
    assert zoo.load(tmp_path / "model").tokenizer == tokenizer == tokenizer_of(str(tmp_path / "model"))
    again, changes = initialise(config(name), str(tmp_path / "model"), {"num_classes": 0})
    assert not changes and again.tokenizer == tokenizer
    assert torch.equal(model(IDS), again.eval()(IDS))
    saved(tmp_path / "without", name)
    assert tokenizer_of(str(tmp_path / "without")) is None and zoo.load(tmp_path / "without").tokenizer is None
    (tmp_path / "model" / "tokenizer.json").write_text('{"kind": "exec"}')
    with pytest.raises(ZooError, match=r"tokenizer\.json"):
        zoo.load(tmp_path / "model")


@pytest.mark.parametrize("name", ["gpt", "llama", "bert"])
def test_another_head_for_another_task(name, tmp_path):
    """The backbone is the source's to the last bit; what stands at the end begins anew, and is told."""
    model = saved(tmp_path / "language", name)
    classifier, changes = initialise(config(name, 5), str(tmp_path / "language"), {"num_classes": 5})
    told = {change.name: change.how for change in changes}
    assert told["head.weight"] == told["head.bias"] == "new"
    assert all(name.startswith(("head", "pooler", "token_head")) for name in told)
    assert classifier.eval()(IDS).shape == (2, 5)
    assert torch.equal(classifier.forward_features(IDS), model.forward_features(IDS))
    zoo.save(classifier, tmp_path / "classifier")
    back, changes = initialise(config(name), str(tmp_path / "classifier"), {"num_classes": 0})
    assert back.eval()(IDS).shape == (2, 6, 260)
    assert torch.equal(back.forward_features(IDS), model.forward_features(IDS)), (
        "a tied head takes nothing from a classifier"
    )
    other, changes = initialise(config(name, 3), str(tmp_path / "classifier"), {"num_classes": 3})
    assert [change.name for change in changes] == ["head.weight", "head.bias"]
    assert torch.equal(other.eval().forward_features(IDS), model.forward_features(IDS))


def test_a_checkpoint_has_its_tied_head_twice(tmp_path):
    """What a run's .ckpt holds, all names of a tied tensor among them."""
    model = zoo.build(config("gpt"))
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": {"model": model.config}}, tmp_path / "last.ckpt")
    classifier, changes = initialise(config("gpt", 5), str(tmp_path / "last.ckpt"), {"num_classes": 5})
    assert {change.name for change in changes} == {"head.weight", "head.bias"} and len(classifier.head.weight) == 5
    assert torch.equal(classifier.embed.weight, model.embed.weight)


def test_positions_are_the_sources_unless_others_are_chosen(tmp_path):
    """The command line says position=learned for a GPT and rope for a Llama where nothing was chosen."""
    rope = {"_target_": "zoo.attention.RoPE", "_partial_": True, "base": 500.0, "halves": True}
    model = saved(tmp_path / "llama", "llama", position=rope)
    again, _ = initialise(config("llama"), str(tmp_path / "llama"), {})
    assert again.config["position"] == rope and torch.equal(again.eval()(IDS), model(IDS))
    again, _ = initialise(config("gpt"), str(tmp_path / "llama"), {})
    assert again.config["position"] == rope, "model=gpt is not what was trained"
    chosen = fit_model(
        plain(compose("model=llama", "position=alibi", *SMALL))["model"], TextSpec(vocab_size=260, context=8), 0
    )
    other, _ = initialise(chosen, str(tmp_path / "llama"), {})
    assert other.config["position"]["_target_"] == "zoo.attention.ALiBi"


def test_a_tokenizer_of_more_tokens_than_the_model(tokenizer, tmp_path):
    model = zoo.build(config("gpt", vocab_size=100))
    spec = TextSpec(vocab_size=tokenizer.vocab_size, context=8, tokenizer=tokenizer)
    with pytest.raises(ZooError, match=r"tokenizer has 259 tokens, and this GPT knows 100"):
        label(model, spec)
    check_tokenizer(zoo.build(config("gpt", vocab_size=300)), tokenizer, "It")  # room is left in many


def test_a_language_model_has_no_classes_of_its_own(tokenizer):
    spec = TextSpec(vocab_size=260, context=8, tokenizer=tokenizer, classes=("a", "b"), targets="class")
    language, classifier = zoo.build(config("bert")), zoo.build(config("bert", 2))
    for model in (language, classifier):
        label(model, spec)
    assert (language.classes, language.targets) == (None, "tokens")
    assert (classifier.classes, classifier.targets) == (("a", "b"), "class")


def test_init_alone_does_not_choose_the_kind_of_model(tokenizer, tmp_path):
    """`train.py init=<a run of text>` builds a ViT of digits, unless one says otherwise."""
    saved(tmp_path / "model", "gpt", tokenizer)
    with pytest.raises(
        ZooError, match=r"is a GPT, which is for text, and ViT is for images: .* as model=gpt, and data="
    ):
        initialise(plain(compose("model=vit"))["model"], str(tmp_path / "model"), {"img_size": 8})


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_a_checkpoint_alone_has_its_tokenizer(kind, tmp_path):
    """A run that did not finish has no model/: `generate`, `init=` and `predict` of its checkpoint need one all the same."""
    from zoo.tasks.language_modelling import LanguageModelling

    model = zoo.build(config("gpt", vocab_size=300))
    model.tokenizer = train_tokenizer(
        kind, ["some text to learn from"], **({"vocab_size": 270} if kind == "bpe" else {})
    )
    task = LanguageModelling(model, {"_target_": "torch.optim.AdamW", "lr": 1e-3})
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    trainer = make_trainer()
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path)
    again = zoo.load(path)
    assert again.tokenizer == model.tokenizer == tokenizer_of(str(path)) and again.tokenizer.kind == kind
    whole = torch.load(path, weights_only=True)
    for wrong in (5, {"json": 5, "roles": {}}, {"json": "[[", "roles": model.tokenizer.roles}, {"json": "{}"}):
        torch.save({**whole, "tokenizer": wrong}, path)
        with pytest.raises(ZooError, match=r"the tokenizer of .*last\.ckpt"):
            zoo.load(path)
    torch.save({key: value for key, value in whole.items() if key != "tokenizer"}, path)
    assert zoo.load(path).tokenizer is None, "of an earlier version"
