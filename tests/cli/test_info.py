"""`python -m zoo info`."""

import shutil

import zoo as library


def row(out: str, name: str) -> str:
    return next(line for line in out.splitlines() if line.strip().startswith(name)).strip()[len(name) :].strip()


def test_a_model_by_name(zoo):
    code, out, _ = zoo("info", "vit_tiny_patch16_224")
    assert code == 0
    assert row(out, "parameters") == "5,717,416"  # as timm's
    assert row(out, "score x pattern x position") == "ScaledDot x Full() x Learned2D"
    assert row(out, "operations").startswith("2.51 GFLOPs")  # twice the 1.25 G multiply-adds
    assert row(out, "dim") == "192" and row(out, "depth") == "12"


def test_a_model_of_the_conf_folder_takes_changes(zoo, refused):
    out = zoo("info", "vit", "model.depth=2", "model.patch_size=2")[1]
    assert row(out, "depth") == "2" and row(out, "img_size") == "8" and row(out, "tokens").startswith("4 x 4")
    assert "did you mean 'depth'?" in refused("info", "vit", "model.dpth=2")
    assert "not divisible" in refused("info", "vit", "model.patch_size=3")
    assert "changes nothing" in refused("info", "vit_tiny_patch16_224", "model.depth=2")


def test_a_model_without_attention(zoo):
    out = zoo("info", "cnn")[1]
    assert "x pattern x" not in out and row(out, "parameters")


def test_a_finished_run(zoo, run):
    code, out, _ = zoo("info", run)
    assert code == 0 and "finished" in out
    assert row(out, "test/accuracy") == "0.125"
    assert row(out, "command") == "python train.py seed=3 model.depth=2"
    assert "model/model.safetensors" in out and f'zoo.load("{run}")' in out
    model = library.load(run)
    assert row(out[out.index("score x") :], "parameters") == f"{sum(p.numel() for p in model.parameters()):,}"


def test_an_unfinished_run_says_how_to_go_on(zoo, run, tmp_path):
    shutil.copytree(run, tmp_path / "cut")
    (tmp_path / "cut" / "summary.json").unlink()
    shutil.rmtree(tmp_path / "cut" / "model")
    out = zoo("info", tmp_path / "cut")[1]
    assert "not finished" in out and f"ckpt_path={tmp_path / 'cut'}" in out and "zoo.load" not in out


def test_a_model_folder(zoo, run):
    assert row(zoo("info", run / "model")[1], "depth") == "2"


def test_what_is_neither(refused, tmp_path):
    assert "did you mean 'vit_tiny_patch16_" in refused("info", "vit_tiny_patch16")
    assert "model folder" in refused("info", tmp_path)
