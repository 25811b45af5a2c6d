"""What is not exported, said in a sentence, and nothing left behind."""

from functools import partial

import pytest
import torch
from torch import nn

import zoo
import zoo.exports.graphs
from tests.exports.models import TEXT, made
from tests.models.gats import model as gat
from zoo.attention import Attention
from zoo.errors import ZooError
from zoo.exports import compare
from zoo.exports.kernels import pinned
from zoo.exports.served import Served, served


@pytest.mark.parametrize("to, out, how, words", [
    ("torchexport", "m.pt2", {}, "to='torchexport' is not an engine to export to; did you mean 'torch_export'"),
    ("torch_export", "m.onnx", {}, r"m.onnx is not a .pt2 file, as torch_export writes"),
    ("torch_export", "m.pt2", {"kernel": "flex"}, "kernel=flex is not exported"),
    ("torch_export", "m.pt2", {"kernel": "edge_list"}, "blocks.0.attn cannot be exported. edge_list: its pattern has no"),
])  # fmt: skip
def test_refused_before_anything_is_written(to, out, how, words, tmp_path):
    with pytest.raises(ZooError, match=words):
        zoo.export(made("vit"), to, tmp_path / "new" / out, **how)
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("out", [".", "..", "new/.."])
def test_a_path_without_a_name_is_refused_and_nothing_is_left(out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for to in ("transformers", "torch_export"):
        with pytest.raises(ZooError, match=r"has no name of its own"):
            zoo.export(made("vit"), to, out)
    assert not list(tmp_path.iterdir())


def test_a_model_that_nobody_described_is_refused(tmp_path):
    with pytest.raises(ZooError, match="What a Linear takes and gives"):
        zoo.export(nn.Linear(2, 2), "torch_export", tmp_path / "m.pt2")
    model = zoo.quantize(zoo.create_model("gpt_mini", **TEXT))
    with pytest.raises(ZooError, match="quantised"):
        zoo.export(model, "torch_export", tmp_path / "m.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to, out", [("torch_export", "m.pt2"), ("onnx", "m.onnx"), ("transformers", "m")])
def test_models_of_pairs_are_not_exported(to, out, tmp_path):
    model = zoo.create_model("bahdanau", source_vocab=5, target_vocab=5, dim=8)
    with pytest.raises(ZooError, match=r"A Bahdanau says a target token by token.* are not exported"):
        zoo.export(model, to, tmp_path / out)
    assert not list(tmp_path.iterdir())


def test_a_graph_is_not_looped_over():
    """The oracle's loop over targets would be unrolled for the nodes that were traced."""
    with pytest.raises(ZooError, match="it loops over a graph's targets"), _pinned(gat().eval(), ["reference"]):
        pass
    with _pinned(gat().eval(), ["sdpa", "edge_list"]) as chosen:
        assert chosen == "edge_list (2 attentions)"


def test_kernels_are_given_back():
    model = gat(attention=partial(Attention, kernel="edge_list", pattern=zoo.attention.GraphEdges()))
    with _pinned(model.eval(), ["edge_list"]):
        pass
    assert [layer.attn.kernel for layer in model.layers] == ["edge_list"] * 2
    assert [layer.attn.recorder for layer in model.layers] == [None] * 2


def _pinned(model, kernels):
    graph = served(model)
    inputs = graph.draw(graph.traced)
    return pinned(model, lambda: graph(**inputs), kernels)


class _Line(Served):
    def __init__(self):
        super().__init__(nn.Linear(3, 2), {"x": ("batch", None)}, {}, {"rows": 2}, [{"rows": 1}, {"rows": 4}])

    def draw(self, sizes, seed=0):
        return {"x": torch.randn(sizes["rows"], 3)}

    def forward(self, x):
        return {"y": self.model(x)}


@pytest.mark.parametrize("theirs, words", [
    (lambda y: y + 2e-4, "y differs from ours by .* at batch 1, more than 0.0001: it is not kept"),
    (lambda y: y * torch.nan, "differs from ours by inf"),
    (lambda y: y[:1], "differs from ours by inf at batch 4"),
    (lambda y: y.reshape(1, 2), "does not run at batch 4"),
])  # fmt: skip
def test_a_difference_is_found(theirs, words):
    """Above 1e-4, no number, another shape, a batch that is fixed (B7)."""
    line = _Line()
    with pytest.raises(ZooError, match=words):
        compare.largest_difference(line, lambda inputs: {"y": theirs(line(**inputs)["y"])})
    assert compare.largest_difference(line, lambda inputs: line(**inputs)) == 0


def test_nothing_is_left_of_an_export_that_differs(tmp_path, monkeypatch):
    from zoo.exports import torch_export

    def write(model, file, kernel=None):
        file.write_bytes(b"half a program")
        raise ZooError("it differs")

    (tmp_path / "m.pt2").write_text("what was there")
    monkeypatch.setattr(torch_export, "write", write)
    with pytest.raises(ZooError, match="it differs"):
        zoo.export(made("vit"), "torch_export", tmp_path / "m.pt2")
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt2"]
    assert (tmp_path / "m.pt2").read_text() == "what was there"
