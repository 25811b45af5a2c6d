"""C10: perplexity is exp(total NLL / predicted tokens), each token once, at any batch size."""

import math

import numpy as np
import pytest
import torch

import zoo
from zoo.errors import ZooError
from zoo.models.language.gpt import GPT
from zoo.models.language.llama import Llama
from zoo.reports.perplexity import losses, measured, read_text, windows
from zoo.text import train_tokenizer


@pytest.fixture(scope="module", params=[GPT, Llama])
def model(request):
    torch.manual_seed(0)
    return request.param(64, context=16, dim=16, depth=2, num_heads=2).double().eval()


@pytest.mark.parametrize("context", [1, 2, 7, 16, 100])
def test_every_token_but_the_first_is_predicted_once(context):
    """C10."""
    for stride in {1, 2, context // 2 or 1, context}:
        if stride > context:
            continue
        for tokens in range(60):
            counts = np.zeros(tokens, int)
            for begin, end, counted in windows(tokens, context, stride):
                assert 0 <= begin < end <= begin + context and 0 < counted <= end - begin
                counts[end + 1 - counted : end + 1] += 1
            assert counts[:1].sum() == 0 and (counts[1:] == 1).all()


def test_later_windows_have_the_context_that_was_asked_for():
    for begin, end, counted in windows(1000, 32, 8)[1:-1]:
        assert end - begin == 32 and counted == 8  # 24 tokens stand before the first that counts


@pytest.mark.parametrize("stride", [1, 5, 16])
def test_losses_are_those_of_each_window_by_itself_at_any_batch_size(model, stride):
    """C10."""
    ids = torch.randint(64, (61,), generator=torch.Generator().manual_seed(1)).tolist()
    by_hand = []
    for target in range(1, len(ids)):
        begin = next(w.begin for w in windows(len(ids), 16, stride) if w.end >= target)
        logits = model(torch.tensor([ids[begin:target]]))[0, -1]
        by_hand.append(-logits.log_softmax(-1)[ids[target]].item())
    for batch_size in (1, 3, 100):
        np.testing.assert_allclose(losses(model, ids, 16, stride, batch_size), by_hand, rtol=0, atol=1e-10)


def test_a_text_of_one_token_has_nothing_to_predict(model):
    assert len(losses(model, [3], 16, 8)) == len(losses(model, [], 16, 8)) == 0


def test_the_first_token_counts_behind_a_beginning_alone():
    """C10."""
    text = "d\u00e9j\u00e0 vu"
    for special in (True, False):
        tokenizer = train_tokenizer("byte", [text], special=special)
        ids, sizes = measured(tokenizer, text)
        assert len(ids) == len(text.encode()) + special and sizes.sum() == len(text.encode())
        assert (tokenizer.bos is not None and (ids[0], sizes[0]) == (tokenizer.bos, 0)) == special


def test_strides_that_leave_tokens_out_are_refused():
    for stride in (0, 17):
        with pytest.raises(ZooError, match=f"stride={stride}"):
            windows(10, 16, stride)


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"abc\xff")
    with pytest.raises(ZooError, match=r"a.txt is no UTF-8 text: byte 3 is 0xff"):
        read_text(str(tmp_path / "a.txt"))
    with pytest.raises(ZooError, match="cannot be read"):
        read_text(str(tmp_path / "b.txt"))
    (tmp_path / "c.txt").write_bytes(b"\xef\xbb\xbfabc")
    assert read_text(str(tmp_path / "c.txt")) == "abc"


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    tokenizer = train_tokenizer("byte", [""])
    model = zoo.build({"_target_": "zoo.models.language.gpt.GPT", "vocab_size": tokenizer.vocab_size, "context": 16,
                       "dim": 16, "depth": 1, "num_heads": 2})  # fmt: skip
    model.tokenizer = tokenizer
    zoo.save(model, tmp_path / "run")
    return tmp_path / "run"


def test_the_report(run, tmp_path, capsys):
    from zoo.cli import main

    (tmp_path / "a.txt").write_text("a text of some length, with an \u00fc in it")
    figures = []
    for more in ([], ["batch_size=1"], ["context=400"], ["stride=16"], ["weights=int8"], ["weights=bfloat16"]):
        assert main(["report", "perplexity", f"run={run}", f"path={tmp_path / 'a.txt'}", *more]) == 0
        out = capsys.readouterr().out
        figures.append(float(out.splitlines()[1].split()[1]))
        assert "39 tokens, from a beginning of text on; 39 bytes" in out
    assert figures[0] == figures[1] == figures[2] != figures[3]
    assert figures[4:] == pytest.approx([figures[0]] * 2, rel=0.02), figures
    assert abs(math.log(figures[0]) - math.log(259)) < 0.5  # untrained
    for words, said in {
        (f"run={run}",): "path= is missing",
        (f"run={run}", f"path={tmp_path / 'a.txt'}", "stride=0"): "stride=0 is not a whole number",
        (f"run={run}", f"path={tmp_path / 'a.txt'}", "strid=2"): "did you mean 'stride='?",
        (f"run={run}", f"path={tmp_path / 'none.txt'}"): "cannot be read",
        (f"run={run}", f"path={tmp_path / 'a.txt'}", "stride=17"): "tokens would be left out",
    }.items():
        assert main(["report", "perplexity", *words]) == 2
        assert said in capsys.readouterr().err
