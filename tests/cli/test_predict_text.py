"""`python -m zoo predict RUN "a sentence"`: classes, next tokens, what [MASK] hides; and where the model looked."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from PIL import Image

import zoo as library
from zoo.cli.predict import READERS
from zoo.cli.predict.texts import encode
from zoo.errors import ZooError
from zoo.inspect.tokens import visible
from zoo.spec import GIVEN
from zoo.text import train_tokenizer

TEXT = ["the cat sat on the mat", "a dog ate the cat \u4f60\u597d"]
SIZES = {"context": 32, "dim": 16, "depth": 2, "num_heads": 2}
GPT, BERT = ({"_target_": f"zoo.models.language.{name}", **SIZES} for name in ("gpt.GPT", "bert.BERT"))


@pytest.fixture
def text_run(tmp_path):
    """`text_run(config, tokenizer)`: a model folder of an untrained model."""

    def made(config: dict, kind: str = "bpe", **more) -> Path:
        torch.manual_seed(0)
        tokenizer = train_tokenizer(kind, TEXT, 300)
        model = library.build({**config, "vocab_size": tokenizer.vocab_size, **more})
        model.tokenizer = tokenizer
        if model.num_classes:
            model.classes = tuple(f"kind {i}" for i in range(model.num_classes))
        folder = tmp_path / "runs" / kind
        library.save(model, folder)
        return folder

    return made


def test_whatever_predict_takes_has_a_reader():
    assert READERS.keys() == GIVEN.keys()


def test_the_likeliest_next_tokens(zoo, text_run):
    run = text_run(GPT)
    code, out, err = zoo("predict", run, "the cat")
    assert code == 0, err
    title, *rows, png = out.splitlines()
    model = library.load(run)
    shares, ids = model(torch.tensor([model.tokenizer.encode("the cat")]))[0, -1].softmax(-1).topk(5)
    wanted = [f"{100 * share:.1f} %" for share in shares.tolist()]
    assert title == "the cat" and [row.split("  ")[-1].strip() for row in rows] == wanted
    assert [row.split()[0] for row in rows] == [visible(model.tokenizer.token(id)) for id in ids.tolist()]
    assert Path(png) == Path.cwd() / "attention-the-cat.png"
    code, out, _ = zoo("predict", run, "the cat", "--top", "2", "--layer", "0", "--head", "mean", "--out", "x.png")
    assert code == 0 and len(out.splitlines()) == 4
    with Image.open("x.png") as image:
        assert abs(image.width - image.height) < 100  # one panel
    assert zoo("predict", run, "")[0] == 0  # begins with bos


def test_what_a_mask_hides(zoo, text_run, refused):
    run = text_run(BERT, "wordpiece")
    code, out, err = zoo("predict", run, "the [MASK] sat", "the [MASK] [MASK]")
    assert code == 0, err
    assert len([line for line in out.splitlines() if line.startswith("  [MASK] ")]) == 2
    assert Path("attention-the-MASK-sat.png").is_file() and Path("attention-the-MASK-MASK.png").is_file()
    assert "write [MASK] in place of a word" in refused("predict", run, "the cat")


def test_a_mask_takes_the_space_before_it_where_tokens_do(text_run):
    of_bytes = library.load(text_run(BERT, "byte"))
    t = of_bytes.tokenizer
    assert encode(of_bytes, "a [MASK]") == [x for x in (t.bos, *t.encode("a "), t.mask, t.eos) if x is not None]
    bpe = library.load(text_run(BERT, "bpe"))
    bpe.tokenizer = train_tokenizer("bpe", ["a a a a a a"], 280)
    t = bpe.tokenizer
    assert len(t.encode(" a")) == 1
    assert encode(bpe, "a [MASK] a") == [
        x for x in (t.bos, *t.encode("a"), t.mask, *t.encode(" a"), t.eos) if x is not None
    ]


def test_classes_of_a_sentence(zoo, text_run):
    run = text_run(BERT, "wordpiece", num_classes=3)
    code, out, err = zoo("predict", run, "the cat", "a dog", "--out", "figures")
    assert code == 0, err
    assert out.count("kind ") == 6 and len(list(Path("figures").iterdir())) == 2


def test_control_characters_do_not_reach_the_terminal(zoo, text_run):
    run = text_run(GPT, "byte")
    code, out, err = zoo("predict", run, "a\x1b[31m \u202e\x00 \u4f60 \r", "--top", "259")
    assert code == 0, err
    assert not set("\x1b\u202e\x00\r") & set(out)


def test_bad_inputs(text_run, refused, run, zoo):
    gpt = text_run(GPT)
    for words, said in {
        (gpt, "the cat", "--layer", "2"): "layers are 0 to 1",
        (gpt, "the cat", "--head", "7"): "give 0 to 1, or mean",
        (gpt, "the cat", "--head", "first"): "neither a number",
        (gpt, "the cat", "--node", "1"): "--node 1 is for a graph",
        (run, "test:1", "--layer", "1"): "--layer 1 is for a sentence",
        (gpt, "cat " * 40): "32 learned positions",
    }.items():
        assert said in refused("predict", *words), words


def test_a_model_without_a_tokenizer(text_run, refused, tmp_path):
    model = library.load(text_run(GPT, "byte"))
    model.tokenizer = None
    library.save(model, tmp_path / "without")
    assert "has no tokenizer" in refused("predict", tmp_path / "without", "a")


def test_hidden_states_say_nothing(text_run):
    from zoo.cli.predict.texts import predict

    torch.manual_seed(0)
    model = library.build({**GPT, "vocab_size": 300, "token_head": False})
    model.tokenizer = train_tokenizer("byte", TEXT)
    with pytest.raises(ZooError, match="has no head"):
        predict(model, "a", Namespace(top=None, layer=None, head=None, run="run"), Path("x.png"))


def test_what_ends_as_an_image_is_what_images_are():
    from zoo.cli.predict.texts import IMAGES
    from zoo.preprocess import EXTENSIONS

    assert IMAGES == EXTENSIONS
