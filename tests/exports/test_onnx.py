"""ONNX, run by ONNX Runtime: the same outputs at batches, lengths and graphs of other sizes (docs/criteria.md, B7)."""

import json

import onnx
import onnxruntime
import pytest
import torch

import zoo
from tests.exports.models import ALL, made
from zoo.errors import ZooError
from zoo.exports import onnx as target

#: of the default suite; a graph takes seconds. The second has loops with the mean of several edges' features, which torch's
#: exporter writes wrong
QUICK = ("nlinear", "gat, edge features")
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ALL]


@pytest.mark.parametrize("name", EVERY)
def test_every_family_keeps_its_axes_open(name, tmp_path):
    """B7: compared at two batches and lengths, or two graphs, none of them the traced one; axes are called what they count."""
    done = zoo.export(made(name), "onnx", tmp_path / "model.onnx")
    assert done.difference <= 1e-5 and [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    graph = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(graph)
    axes = {dim.dim_param for each in graph.graph.input for dim in each.type.tensor_type.shape.dim} - {""}
    said = done.told["inputs"]
    assert axes and all(name in said for name in axes)
    notes = {each.key: json.loads(each.value) for each in graph.metadata_props if each.key.startswith("zoo.")}
    assert notes["zoo.kernel"] == done.told["kernel"]


@pytest.mark.slow
def test_text_of_any_length(tmp_path):
    """B7: one token of one row, and as many as the context; padding is where the mask says."""
    model = made("gpt")
    zoo.export(model, "onnx", tmp_path / "model.onnx", kernel="sdpa")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for shape in ((1, 1), (5, 32), (2, 7)):
        ids, mask = torch.randint(61, shape), torch.ones(shape, dtype=torch.bool)
        mask[0, : shape[1] // 2] = False
        (found,) = session.run(["logits"], {"ids": ids.numpy(), "mask": mask.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found)[mask], model(ids, mask)[mask], atol=1e-5, rtol=1e-5)


def test_without_the_packages_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(target, "NEEDS", ("onnx", "a_package_that_is_not_there"))
    with pytest.raises(ZooError, match=r"needs the package a_package_that_is_not_there, .* 'attention-zoo\[export\]'"):
        zoo.export(made("nlinear"), "onnx", tmp_path / "m.onnx")


def test_what_one_file_cannot_hold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(target, "MOST", 1000)
    with pytest.raises(ZooError, match=r"one \.onnx file holds 1,000: take torch_export"):
        zoo.export(made("nlinear"), "onnx", tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("shape", [(7,), (7, 3)])
def test_means_are_not_the_last_number(shape, own):
    """Of the features of edges into a node: the exporter has a form for them, which keeps the last one."""
    src, index = torch.randn(shape), torch.tensor([0, 2, 2, 2, 4, 0, 2])
    index = index.view(-1, *[1] * (src.ndim - 1)).expand(shape)
    x = torch.randn(6, *shape[1:])
    wanted = x.scatter_reduce(0, index, src, "mean", include_self=own)
    torch.testing.assert_close(target._mean_of_each(x, 0, index, src, "mean", include_self=own), wanted)
    assert target._mean_of_each(x, 0, index, src, "amax") is NotImplemented
