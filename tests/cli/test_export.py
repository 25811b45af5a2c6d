"""python -m zoo export: what it tells, and bad input in one sentence."""

import pytest
import timm
import torch

import zoo as package


def test_a_run_is_exported_and_told(zoo, run, tmp_path):
    code, out, err = zoo("export", run, "--to", "timm", "--out", tmp_path / "vit.safetensors")
    assert code == 0 and not err
    assert "timm.create_model(" in out and "largest difference" in out and "(at most 0.0001)" in out
    model, images = package.load(run), torch.randn(2, 1, 8, 8)
    sizes = dict(
        img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=64, depth=2, num_heads=4, mlp_ratio=2.0
    )
    file = str(tmp_path / "vit.safetensors")
    theirs = timm.create_model("vit_base_patch16_224", reg_tokens=1, checkpoint_path=file, **sizes).eval()
    torch.testing.assert_close(theirs(images), model(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("words, said", [
    (("--to", "timms", "--out", "v.pth"), "to='timms' is not an engine to export to; did you mean 'timm'?"),
    (("--to", "timm", "--out", "v.onnx"), "v.onnx is not a .safetensors or .pth file"),
    (("--to", "onnx", "--out", "v.onnx", "--kernel", "sdap"), "kernel=sdap is not exported; did you mean 'sdpa'?"),
    (("--to", "transformers", "--out", "v"), "class=ViT is none of GPT, Llama and BERT"),
    (("--to", "timm"), "--out"),
    (("--to", "timm", "--out", "a_file/v.pth"), "a_file"),
])  # fmt: skip
def test_bad_input_is_one_sentence(refused, run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").write_text("")
    assert said in refused("export", run, *words)
    assert [path.name for path in tmp_path.iterdir() if path.name != "here"] == ["a_file"]
