"""Starting from trained weights: sizes of the data are adapted and told (B1), everything else must fit."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

import zoo
from tests.pretrained.theirs import difference, randomise
from zoo.models import Preprocess
from zoo.pretrained import initialise, peek

TINY = {"img_size": 8, "patch_size": 4, "in_chans": 3, "num_classes": 5, "dim": 16, "depth": 1, "num_heads": 2}
CONFIG = {"_target_": "zoo.models.vit.ViT", **TINY}
#: As the command line gives it, of another architecture than the source's.
COMMAND_LINE = {
    **CONFIG, "dim": 64, "depth": 7, "drop_path": 0.1, "num_classes": None,
    "position": {"_target_": "zoo.attention.Learned2D", "_partial_": True, "std": 0.2},
    "attention": {
        "_target_": "zoo.attention.Attention", "_partial_": True, "kernel": None,
        "score": {"_target_": "zoo.attention.ScaledDot", "_partial_": True},
        "pattern": {"_target_": "zoo.attention.Full"},
    },
}  # fmt: skip


@pytest.fixture
def source():
    model = randomise(zoo.build(CONFIG))
    model.preprocess, model.classes = Preprocess(8, 3, (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), crop=0.9), tuple("abcde")
    return model


@pytest.fixture
def folder(source, tmp_path):
    return zoo.save(source, tmp_path / "run" / "model")


def told(changes):
    return {change.name: (change.old, change.new) for change in changes}


def test_from_a_folder_of_the_same_sizes_nothing_changes(source, folder):
    for path in (folder, folder.parent):
        model, changes = initialise(COMMAND_LINE, str(path), {"num_classes": 5, "img_size": 8, "in_chans": 3})
        assert changes == [] and model.training
        assert difference(source, model.eval(), (2, 3, 8, 8)) == 0
        assert (model.preprocess, model.classes) == (source.preprocess, source.classes)
        assert model.config["drop_path"] == 0.1 and model.config["depth"] == 1  # a rate is the training's
    assert peek(str(folder.parent)) == vars(source.preprocess)


PART = {"_partial_": True}
NORM = {"_target_": "torch.nn.LayerNorm", **PART}
OTHER_PARTS = {
    "attention pooling": {"pool": {"_target_": "zoo.layers.AttentionPool", **PART, "only_patches": True}},
    "a distilled head": {"pool": {"_target_": "zoo.layers.JoinPrefix", **PART}, "reg_tokens": 1},
    "a gated feed-forward": {"feed_forward": {"_target_": "zoo.layers.GatedFeedForward", **PART}, "final_norm": False},
    "norms within": {
        "attention": {
            "_target_": "zoo.attention.Attention", **PART,
            "output": {"_target_": "zoo.attention.OutputProjection", **PART, "norm": NORM},
        },
        "feed_forward": {"_target_": "zoo.layers.FeedForward", **PART, "norm": NORM},
        "patch_norm": {"_target_": "torch.nn.RMSNorm", **PART},
    },
    "parallel": {"order": {"_target_": "zoo.layers.parallel", **PART}, "shared_norm": True},
}  # fmt: skip


@pytest.mark.parametrize("parts", OTHER_PARTS.values(), ids=OTHER_PARTS)
def test_b1_other_parts_of_a_vit_are_kept_on_other_data(parts, tmp_path):
    """Pools, feed-forwards and norms are the source's, whatever the command line's model has; head, grid and stem adapt."""
    source = randomise(zoo.build({**CONFIG, **parts}))
    folder = zoo.save(source, tmp_path / "model")
    model, changes = initialise(COMMAND_LINE, str(folder), {"num_classes": 2, "img_size": [12, 16], "in_chans": 1})
    assert set(told(changes)) == {"patch_embed.proj.weight", "position.table", "head.weight", "head.bias"}
    assert {name: model.config[name] for name in parts if name != "attention"} == {
        name: part for name, part in parts.items() if name != "attention"
    }
    kept = source.state_dict().keys() - told(changes)
    assert all(torch.equal(model.state_dict()[name], source.state_dict()[name]) for name in kept)
    assert model(torch.randn(2, 1, 12, 16)).shape == (2, 2)
    assert [type(module) for module in model.modules()] == [type(module) for module in source.modules()]


def test_b1_every_tensor_changed_is_told(source, folder):
    model, changes = initialise(COMMAND_LINE, str(folder), {"num_classes": 2, "img_size": [12, 16], "in_chans": 1})
    assert told(changes) == {
        "patch_embed.proj.weight": ((16, 48), (16, 16)),
        "position.table": ((5, 16), (13, 16)),
        "head.weight": ((5, 16), (2, 16)),
        "head.bias": ((5,), (2,)),
    }
    assert "positions resampled from a grid of (2, 2) to (3, 4)" in str(changes[1])
    assert model(torch.zeros(1, 1, 12, 16)).shape == (1, 2)
    assert model.classes is None
    same = model.state_dict().keys() - told(changes).keys()
    assert all(torch.equal(model.state_dict()[name], source.state_dict()[name]) for name in same)
    assert zoo.save(model, folder.parent / "again") and zoo.load(folder.parent / "again").grid == (3, 4)


def test_b1_partial_facts_keep_the_rest(folder):
    model, changes = initialise(COMMAND_LINE, str(folder), {"img_size": 16, "num_classes": None})
    assert told(changes).keys() == {"position.table"}
    assert model.preprocess == Preprocess(16, 3, (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), crop=0.9)
    assert model.classes == tuple("abcde")


def test_b1_a_gray_image_gives_what_three_equal_channels_gave(source, folder):
    model, _ = initialise(COMMAND_LINE, str(folder), {"in_chans": 1})
    gray = torch.randn(2, 1, 8, 8)
    assert torch.allclose(model.eval()(gray), source(gray.expand(-1, 3, -1, -1)), atol=1e-5)
    assert model.preprocess.mean == pytest.approx((0.2,))


@pytest.mark.parametrize("in_chans", [1, 2, 4, 7])
def test_b1_channels_are_adapted_as_timm_does(in_chans):
    timm_models = pytest.importorskip("timm.models")
    from zoo.pretrained.adapt import channels

    weight = torch.randn(5, 3, 4, 4)
    torch.testing.assert_close(channels(weight, in_chans)[0], timm_models.adapt_input_conv(in_chans, weight))


@pytest.mark.parametrize("new", [(3, 5), (7, 7), (14, 14)])
def test_b1_positions_are_resampled_as_timm_does(new):
    """Within 1e-6: the same interpolation in float32."""
    layers = pytest.importorskip("timm.layers")
    from zoo.attention.positions.grids import resample_grid

    table = torch.randn(2 + 7 * 4, 6)
    theirs = layers.resample_abs_pos_embed(table[None], list(new), [7, 4], num_prefix_tokens=2)[0]
    torch.testing.assert_close(resample_grid(table, (7, 4), new, 2), theirs, atol=1e-6, rtol=0)


def test_b1_the_first_convolution_of_a_cnn_is_adapted():
    config = {"_target_": "zoo.models.cnn.CNN", "in_chans": 3, "num_classes": 4, "widths": [4, 8]}
    from zoo.pretrained.adapt import adapt_all

    target = zoo.build({**config, "in_chans": 1, "num_classes": 2})
    _, changes = adapt_all(zoo.build(config).state_dict(), target, None)
    assert told(changes).keys() == {"features.0.weight", "head.weight", "head.bias"}


def test_from_a_safetensors_file(source, folder, tmp_path):
    beside, _ = initialise(COMMAND_LINE, str(folder / "model.safetensors"), {})
    assert difference(source, beside.eval(), (2, 3, 8, 8)) == 0  # of the config.json beside it
    alone = tmp_path / "alone.safetensors"
    save_file({f"module._orig_mod.{name}": tensor for name, tensor in source.state_dict().items()}, alone)
    _, changes = initialise(CONFIG, str(alone), {"img_size": 16, "num_classes": 2})
    assert told(changes).keys() == {"position.table", "head.weight", "head.bias"}  # a square grid is assumed
    assert peek(str(alone)) is None
    with pytest.raises(zoo.ZooError, match=r"alone.safetensors does not fit.*only in the model: blocks.1"):
        initialise({**CONFIG, "depth": 2}, str(alone), {})


def test_from_a_checkpoint_of_a_run(source, tmp_path):
    """A7: read with weights_only=True. A9: rebuilt from the config in the hyper-parameters alone."""
    path = tmp_path / "last.ckpt"
    state = {f"model.{name}": tensor for name, tensor in source.state_dict().items()}
    torch.save({"state_dict": {**state, "metric": torch.ones(1)}, "hyper_parameters": {"model": CONFIG}}, path)
    model, changes = initialise(COMMAND_LINE, str(path), {"num_classes": 2})
    assert told(changes).keys() == {"head.weight", "head.bias"}
    assert torch.equal(model.cls_token, source.cls_token)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(zoo.ZooError, match=r"last.ckpt' \(2000 bytes\) cannot be read: it is truncated"):
        initialise(COMMAND_LINE, str(path), {})


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path):
    path = tmp_path / "bad.ckpt"
    torch.save({"state_dict": {}, "hook": subprocess.run}, path)
    with pytest.raises(zoo.ZooError, match="holds more than tensors"):
        initialise(CONFIG, str(path), {})


def test_a_pattern_that_was_chosen_is_laid_over_the_source(folder):
    attention = {**COMMAND_LINE["attention"], "pattern": {"_target_": "zoo.attention.Window", "size": 2}}
    model, changes = initialise({**COMMAND_LINE, "attention": attention}, str(folder), {})
    assert "Window" in str(model.blocks[0].attn.pattern) and not changes


def test_a_position_that_was_chosen_must_fit(folder):
    rope = {"_target_": "zoo.attention.RoPE", "_partial_": True}
    with pytest.raises(zoo.ZooError, match=r"only in the checkpoint: position\.table"):
        initialise({**COMMAND_LINE, "position": rope}, str(folder), {})


@pytest.mark.parametrize("source", ["nowhere", "model.pth", "nowhere.safetensors", "nowhere.ckpt"])
def test_a_source_that_is_not_there(source, tmp_path):
    for function in (peek, lambda s: initialise(CONFIG, s, {})):
        with pytest.raises(zoo.ZooError, match=r"There is no (file|folder)"):
            function(str(tmp_path / source))


# ---- timm


@pytest.fixture
def theirs():
    timm = pytest.importorskip("timm")
    return randomise(timm.create_model("vit_tiny_patch16_224", num_classes=6))


@pytest.fixture(params=[".safetensors", ".pth", "lightning.pth"])
def file(request, theirs, tmp_path):
    """The ways in which people keep timm's weights."""
    path = tmp_path / f"weights{request.param}"
    if path.suffix == ".safetensors":
        save_file(theirs.state_dict(), path)
    elif "lightning" in request.param:
        torch.save({"epoch": 3, "state_dict": {f"module.{n}": t for n, t in theirs.state_dict().items()}}, path)
    else:
        torch.save(theirs.state_dict(), path)
    return path


def test_from_timm_by_a_file(theirs, file):
    model, changes = initialise(COMMAND_LINE, f"timm://vit_tiny_patch16_224@{file}", {"num_classes": 6})
    assert changes == []
    assert difference(theirs, model.eval(), (1, 3, 224, 224)) <= 1e-4
    assert model.preprocess.size == 224 and model.preprocess.crop == 0.9


def test_b1_from_timm_as_timm_itself_adapts(theirs, tmp_path):
    """Other size, channels and classes: the logits of timm's own adaptation, but for the head, which is new in both."""
    import timm

    file = tmp_path / "weights.safetensors"
    save_file(theirs.state_dict(), file)
    facts = {"num_classes": 3, "img_size": 64, "in_chans": 1}
    model, changes = initialise(COMMAND_LINE, f"timm://vit_tiny_patch16_224@{file}", facts)
    assert told(changes) == {
        "patch_embed.proj.weight": ((192, 768), (192, 256)),
        "position.table": ((197, 192), (17, 192)),
        "head.weight": ((6, 192), (3, 192)),
        "head.bias": ((6,), (3,)),
    }
    overlay = {"file": str(file), "num_classes": 6}
    adapted = timm.create_model("vit_tiny_patch16_224", True, pretrained_cfg_overlay=overlay, **facts).eval()
    adapted.reset_classifier(0)
    model.eval().reset_classifier(0)
    assert difference(adapted, model, (2, 1, 64, 64)) <= 1e-4


def test_create_model_pretrained_takes_the_same_way(theirs, tmp_path):
    file = tmp_path / "weights.safetensors"
    save_file(theirs.state_dict(), file)
    model = zoo.create_model("vit_tiny_patch16_224", pretrained=f"timm://vit_tiny_patch16_224@{file}", img_size=32)
    assert model.grid == (2, 2) and model.num_classes == 6


def test_timm_files_of_another_architecture(theirs, tmp_path):
    file = tmp_path / "weights.safetensors"
    save_file(theirs.state_dict(), file)
    with pytest.raises(zoo.ZooError, match=r"does not fit timm's vit_small_patch16_224 .*size mismatch"):
        initialise(CONFIG, f"timm://vit_small_patch16_224@{file}", {})
    with pytest.raises(zoo.ZooError, match=r"timm's names; take timm://<name of the model>@"):
        initialise(CONFIG, str(file), {})


def test_peek_at_timm_reads_its_registry_only():
    pytest.importorskip("timm")
    assert peek("timm://vit_tiny_patch16_224.augreg_in21k") == {
        "size": 224, "in_chans": 3, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
        "interpolation": "bicubic", "crop": 0.9, "exif_orientation": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("timm://vit_tiny_patch16_242", "did you mean 'vit_tiny_patch16_224'"),
        ("timm://vit_tiny_patch16_224.augreg_in12k", "did you mean 'augreg_in21k'"),
        ("timm://vit_tiny_patch16_224@nowhere.pth", "There is no file 'nowhere.pth'"),
    ],
)
def test_timm_sources_that_are_not_there(source, sentence):
    pytest.importorskip("timm")
    for function in (peek, lambda s: initialise(CONFIG, s, {})):
        with pytest.raises(zoo.ZooError, match=sentence):
            function(source)


def test_without_a_network_it_is_a_sentence(monkeypatch):
    timm = pytest.importorskip("timm")

    def offline(*_, **__):
        raise OSError("We couldn't connect to 'https://huggingface.co'")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(zoo.ZooError, match=r"there is no network \(We couldn't connect.*give a file: timm://vit_tiny"):
        initialise(CONFIG, "timm://vit_tiny_patch16_224", {})


def test_offline_timms_weights_are_those_of_the_cache(tmp_path, monkeypatch):
    """Fetched by timm before, or a sentence; no request goes out."""
    timm = pytest.importorskip("timm")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a request went out"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(
        zoo.ZooError, match=r"timm's test_vit is not in the hub's cache '.*', and ZOO_OFFLINE=1 forbids"
    ):
        zoo.load("timm://test_vit")
    folder = tmp_path / "models--timm--test_vit.r160_in1k"
    for name in ("refs", "snapshots/abc"):
        (folder / name).mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    model = timm.create_model("test_vit").eval()
    save_file(model.state_dict(), folder / "snapshots" / "abc" / "model.safetensors")
    assert torch.equal(zoo.load("timm://test_vit").head.weight, model.head.weight)


def test_hydra_takes_the_source_without_quotes():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    text = "timm://vit_tiny_patch16_224.augreg_in21k@/data/my-weights_1.safetensors"
    assert OverridesParser.create().parse_override(f"init={text}").value() == text


def test_models_need_neither_timm_nor_lightning(folder, root):
    """zoo.load of every shipped model and of every family of old files, init= of a folder."""
    code = (
        "import pathlib, sys, torch, zoo, zoo.pretrained as p\n"
        f"p.initialise({COMMAND_LINE | {'drop_path': 0.0}!r}, {str(folder)!r}, {{'in_chans': 1}})\n"
        "for name in zoo.list_pretrained(): zoo.load(name)\n"
        f"for old in pathlib.Path({str(root / 'tests' / 'old')!r}).glob('*/model'): zoo.load(old)\n"
        "try: zoo.convert(torch.nn.Linear(1, 1))\n"
        "except zoo.ZooError: print(*(name in sys.modules for name in ('timm', 'lightning', 'hydra', 'transformers')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 4
