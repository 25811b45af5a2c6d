"""torch.export: the same outputs at batches, lengths and graphs of other sizes (docs/criteria.md, B7), one kernel pinned."""

import json

import pytest
import torch

import zoo
from tests.exports.models import ALL, made
from zoo.exports.torch_export import NOTES

QUICK = ("nlinear",)  # of the default suite; a trace of attention takes seconds
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ALL]


@pytest.mark.parametrize("name", EVERY)
def test_every_family_keeps_its_axes_open(name, tmp_path):
    """B7: what is written was compared with ours at two batches and lengths, or two graphs, none of them the traced one."""
    model = made(name)
    kernels = [each.kernel for each in model.modules() if hasattr(each, "kernel")]
    done = zoo.export(model, "torch_export", tmp_path / "model.pt2")
    assert done.difference <= 1e-5 and [path.name for path in tmp_path.iterdir()] == ["model.pt2"]
    assert [each.kernel for each in model.modules() if hasattr(each, "kernel")] == kernels
    found = {NOTES: ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=found)
    assert not [node for node in program.graph.nodes if str(node.target).startswith("zoo.")]
    assert json.loads(found[NOTES])["kernel"] == done.told["kernel"]


@pytest.mark.slow
def test_text_of_any_length(tmp_path):
    """B7: also one token of one row, and as many as the context; padding is where the mask says."""
    model = made("llama")
    zoo.export(model, "torch_export", tmp_path / "model.pt2", kernel="reference")
    program = torch.export.load(tmp_path / "model.pt2").module()
    for shape in ((1, 1), (5, 32), (2, 7)):
        ids, mask = torch.randint(61, shape), torch.ones(shape, dtype=torch.bool)
        mask[0, : shape[1] // 2] = False
        with torch.no_grad():
            found, wanted = program(ids=ids, mask=mask)["logits"], model(ids, mask)
        torch.testing.assert_close(found[mask], wanted[mask])
