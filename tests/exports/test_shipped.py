"""Every shipped model in the engines that are promised for it."""

import pytest

import zoo
from zoo.exports import TOLERANCE

NAMES = zoo.list_pretrained()
#: to -> how names begin, and the file (bert.python_docs has RoPE, which BertForMaskedLM has not)
PROMISED = {
    "onnx": ("", "model.onnx"),
    "timm": (("vit.",), "model.safetensors"),
    "transformers": (("gpt.", "llama."), "model"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_torch_export_of_every_shipped_model(name, tmp_path):
    """B7"""
    assert zoo.export(zoo.load(name), "torch_export", tmp_path / "model.pt2").difference <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "to"), [(n, to) for n in NAMES for to, (begins, _) in PROMISED.items() if n.startswith(begins)]
)
def test_what_is_promised_of_a_shipped_model(name, to, tmp_path):
    file = PROMISED[to][1]
    done = zoo.export(zoo.load(name), to, tmp_path / file)
    assert done.difference <= TOLERANCE and done.path.exists()
