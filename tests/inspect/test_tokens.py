"""Heat maps of tokens: what is recorded, what is chosen, and that no token breaks a figure or a terminal."""

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from zoo.errors import ZooError, printable
from zoo.inspect.tokens import PANELS, TOKENS, choose, drawable, plot_tokens, read
from zoo.models.language.bert import BERT
from zoo.models.language.gpt import GPT
from zoo.text import train_tokenizer

ODD = [
    "\x1b[31mred", "\r", "\u202eturned", "\ud800", "\u0301", "\u4f60\u597d", "\U0001f468\u200d\U0001f469", "$x^2$",
    "$\\frac{", "\u2028", "\0", "_", " the", "", "a very long token indeed", "\ufffd", "\U000f0000", "<b>[red]", "\u00fc",
]  # fmt: skip


@pytest.fixture
def figures(monkeypatch):
    kept = []
    whole = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **how: (kept.append(self), whole(self, *args, **how)))
    return kept


def shown(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("kind", [GPT, BERT])
def test_weights_are_those_of_the_forward_pass(kind):
    torch.manual_seed(0)
    model = kind(50, context=16, dim=16, depth=3, num_heads=4).train()
    outputs, weights = read(model, range(7))
    assert [tuple(layer.shape) for layer in weights] == [(4, 7, 7)] * 3
    assert all(torch.allclose(layer.sum(-1), torch.ones(4, 7), atol=1e-5) for layer in weights)
    assert torch.equal(outputs, model.eval()(torch.arange(7)[None])[0])
    if model.objective == "causal":  # nobody looks ahead
        assert all(layer.triu(1).abs().max() == 0 for layer in weights)


def test_the_last_layer_head_by_head_or_what_is_asked_for():
    weights = [torch.rand(h, 5, 5) for h in (2, 3)]
    assert list(choose(weights)) == ["layer 1, head 0", "layer 1, head 1", "layer 1, head 2"]
    ((title, one),) = choose(weights, layer=0, head=1).items()
    assert title == "layer 0, head 1" and torch.equal(one, weights[0][1])
    ((title, mean),) = choose(weights, head="mean").items()
    assert title == "layer 1, mean of 3 heads" and torch.equal(mean, weights[1].mean(0))
    for layer, head, said in (
        (2, None, "layers are 0 to 1"),
        (-1, None, "layers are 0 to 1"),
        (0, 2, "give 0 to 1, or mean"),
    ):
        with pytest.raises(ZooError, match=said):
            choose(weights, layer, head)


def test_odd_letters_are_drawn_as_codes(tmp_path, figures):
    """Warnings of glyphs that a font lacks are errors here; a formula would be one of matplotlib's."""
    weights = torch.rand(1, len(ODD), len(ODD))
    png = plot_tokens({"$one": weights[0]}, ODD, tmp_path / "odd.png")
    assert png.read_bytes()[:4] == b"\x89PNG"
    words = shown(figures[0])
    assert words.count("\\x1b[31mred") >= 2 and words.count("\\u202eturned") >= 2 and words.count("\u2423the") >= 2
    assert (
        words.count("\\u4f60\\u597d") >= 2
        and words.count("$x^2$") >= 2
        and words.count("a\u2423very\u2423long\u2423tok\u2026") >= 2
    )


def test_of_long_texts_and_many_heads_a_part_is_shown_and_said(tmp_path, figures):
    n = TOKENS + 6
    maps = {f"head {h}": torch.rand(n, n) for h in range(PANELS + 4)}
    plot_tokens(maps, [f"t{i}" for i in range(n)], tmp_path / "a.png")
    words = shown(figures[0])
    assert any("the last 64 of 70 tokens, 12 of 16 heads" in word for word in words)
    assert "t69" in words and "t6" in words and "t5" not in words
    assert [word for word in words if word.startswith("head ")] == list(maps)[:PANELS]
    plot_tokens({"a": torch.ones(1, 1)}, ["x"], tmp_path / "b.png")


def test_what_a_terminal_obeys_is_escaped():
    assert printable("a\x1b[2J\r\n\tb") == "a\\x1b[2J\\r\\n\\tb"
    assert printable("\u202e\u2066\u2028\ud83d") == "\\u202e\\u2066\\u2028\\ud83d"
    kept = "\u00fc \u4f60 \U0001f468\u200d\U0001f469 \u0301 \u00ad"
    assert printable(kept) == kept and printable("a\nb\r", kept="\n") == "a\nb\\r"


def test_tokens_of_every_tokenizer_can_be_drawn(tmp_path):
    text = "D\u00e9j\u00e0 vu \u4f60\u597d\n\ttabs \U0001f600 end"
    for kind in ("char", "byte", "bpe", "unigram", "wordpiece"):
        tokenizer = train_tokenizer(kind, [text] * 3, 400)
        tokens = [tokenizer.token(id) for id in tokenizer.document(text)]
        assert all(
            drawable(token).isascii() or "\u2423" in drawable(token) or len(drawable(token)) < 17 for token in tokens
        )
        plot_tokens({"a": torch.rand(len(tokens), len(tokens))}, tokens, tmp_path / f"{kind}.png")


@pytest.mark.parametrize("tokens", [2, 4, 30])
def test_the_title_of_one_map_stays_on_its_figure(tokens, tmp_path, figures):
    plot_tokens({"layer 0, head 0": torch.eye(tokens)}, ["a"] * tokens, tmp_path / "a.png")
    (figure,) = figures
    box = figure._suptitle.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
