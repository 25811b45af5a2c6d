"""Alignments: each row is where the decoder looks while it says that token, whatever model it is of."""

from functools import partial

import pytest
import torch

from zoo.attention import Attention, LocalP, Window, record_attention
from zoo.errors import ZooError
from zoo.inspect.alignment import TOKENS, Panel, align, plot_alignments
from zoo.models.pairs.bahdanau import Bahdanau
from zoo.models.pairs.luong import Luong
from zoo.models.pairs.seq2seq import Seq2Seq
from zoo.models.pairs.transformer import Transformer2017
from zoo.text import train_tokenizer

TOKENIZER = train_tokenizer("char", ["abcdef"], special=True)
V = TOKENIZER.vocab_size
MODELS = {
    "bahdanau": lambda: Bahdanau(V, V, 8, depth=2, cell="lstm"),
    "luong": lambda: Luong(V, V, 8),
    "luong without feeding": lambda: Luong(V, V, 8, input_feeding=False),
    "luong local-m": lambda: Luong(V, V, 8, attention=partial(Attention, pattern=Window(2))),
    "luong local-p": lambda: Luong(V, V, 8, attention=partial(Attention, score=partial(LocalP, window=1.5))),
    "transformer": lambda: Transformer2017(V, V, 8, depth=1, decoder_depth=3, num_heads=2),
}
SOURCES = [TOKENIZER.encode(text) for text in ("abc", "fedcba", "b")]
SAID = [[*TOKENIZER.encode(text), TOKENIZER.eos] for text in ("fe", "a", "bcdeb")]


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    made = MODELS[request.param]().double()
    made.tokenizer = TOKENIZER
    return made


def test_a_row_is_where_the_step_that_says_the_token_looks(model):
    """Against each pair alone, decoded token by token: the weights are of the step whose logits say the token."""
    found = align(model, SOURCES, SAID)
    assert [each.source for each in found] == [["a", "b", "c"], list("fedcba"), ["b"]]
    assert [each.target for each in found] == [[TOKENIZER.token(id) for id in said] for said in SAID]
    for each, source, said in zip(found, SOURCES, SAID, strict=True):
        layers = 3 if isinstance(model, Transformer2017) else 1
        assert [w.shape[1:] for w in each.weights] == [(len(said), len(source))] * layers
        with record_attention(model, only=list(model.looks)) as maps:
            for t in range(len(said)):  # a forward of the first t tokens: its last row is where token t is said from
                model(torch.tensor([source]), torch.tensor([[TOKENIZER.bos, *said[:t]]]))
                for layer, weights in zip(each.weights, maps.values(), strict=True):
                    torch.testing.assert_close(layer[:, t], weights[0, :, -1].float(), rtol=1e-5, atol=1e-6)


def test_a_model_that_does_not_look_back_has_none():
    model = Seq2Seq(V, V, 8)
    model.tokenizer = TOKENIZER
    with pytest.raises(ZooError, match="Seq2Seq does not look back at its source"):
        align(model, SOURCES, SAID)


def test_without_a_tokenizer_there_are_no_names():
    with pytest.raises(ZooError, match="no tokenizer that names them"):
        align(Bahdanau(V, V, 8), SOURCES, SAID)


@pytest.mark.parametrize("shapes", [[(1, 1)], [(3, 2)] * 5, [(5, TOKENS + 9), (TOKENS + 9, 4)]])
def test_the_picture_has_tokens_on_both_axes(tmp_path, monkeypatch, shapes):
    kept = []
    monkeypatch.setattr("zoo.inspect.alignment.save", lambda figure, png: kept.append(figure) or png)
    panels = [Panel("a", [f"s{j}" for j in range(S)], [f"t{i}" for i in range(T)], torch.rand(T, S)) for T, S in shapes]
    plot_alignments(panels, tmp_path / "a.png")
    drawn = [axes for axes in kept[0].axes if axes.images]
    for axes, (T, S) in zip(drawn, shapes, strict=True):
        assert [label.get_text() for label in axes.get_xticklabels()] == [f"s{j}" for j in range(min(S, TOKENS))]
        assert [label.get_text() for label in axes.get_yticklabels()] == [f"t{i}" for i in range(min(T, TOKENS))]
    told = f"the first {TOKENS} tokens" in kept[0].get_suptitle()
    assert told is any(max(shape) > TOKENS for shape in shapes)


def test_letters_that_the_font_lacks_are_codes(tmp_path):
    """No warning of matplotlib's a letter (warnings are errors here), and no boxes: in titles as on the axes."""
    panel = Panel("\u72ac", ["\u72ac"], ["\ud55c", "a"], torch.ones(2, 1))
    assert plot_alignments([panel, panel], tmp_path / "x.png", title="\u0915 \u72ac na\u00efve").is_file()
