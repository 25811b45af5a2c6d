"""`init=` a ViT in a captioner: its trunk begins there, and what is not taken over is told."""

import pytest
import torch

import zoo
from tests.pretrained.theirs import randomise
from zoo.errors import ZooError
from zoo.models import Preprocess
from zoo.pretrained import initialise, peek
from zoo.tasks.translation import Translation

VIT = {
    "_target_": "zoo.models.vit.ViT", "img_size": 8, "patch_size": 2, "in_chans": 3, "num_classes": 5, "dim": 16, "depth": 2,
    "num_heads": 2,
}  # fmt: skip
#: As the command line gives it, of other sizes than the source's.
CAPTIONER = {
    "_target_": "zoo.models.pairs.captioner.Captioner", "img_size": 24, "patch_size": 4, "in_chans": 1, "target_vocab": 11,
    "dim": 64, "depth": 3, "decoder_depth": 1, "num_heads": 4, "drop_path": 0.1, "class_token": False,
}  # fmt: skip
ADAMW = {"_target_": "torch.optim.AdamW", "lr": 0.01}
FACTS = {"img_size": 24, "in_chans": 1, "target_vocab": 11}


def saved(folder, **changes):
    source = randomise(zoo.build({**VIT, **changes}))
    source.preprocess, source.classes = Preprocess(8, 3, (0.1, 0.2, 0.3), (1.0, 1.0, 1.0)), tuple("abcde")
    return source, str(zoo.save(source, folder / "model"))


NORMS = {f"encoder.{norm}.{part}" for norm in ("norm", "fc_norm") for part in ("weight", "bias")}


@pytest.mark.parametrize(
    "changes, ends", [({}, set()), ({"pool": "mean", "class_token": False}, NORMS)], ids=["token", "mean"]
)
def test_the_trunk_begins_as_the_vit(tmp_path, changes, ends):
    source, folder = saved(tmp_path, **changes)
    model, told = initialise(CAPTIONER, folder, FACTS)
    sizes = {
        key: model.config[key] for key in ("patch_size", "dim", "depth", "num_heads", "decoder_depth", "drop_path")
    }
    assert sizes == {"patch_size": 2, "dim": 16, "depth": 2, "num_heads": 2, "decoder_depth": 1, "drop_path": 0.1}
    adapted = {"encoder.patch_embed.proj.weight", "encoder.position.table"}
    left = {"encoder.head.weight", "encoder.head.bias"}
    lines = {change.name: str(change) for change in told}
    assert set(lines) == adapted | left | ends | {"embed", "decoder"}
    assert "new, " in lines["decoder"] and "left out" in lines["encoder.head.weight"]
    own = dict(model.encoder.named_parameters())
    for name, tensor in source.named_parameters():
        if f"encoder.{name}" not in lines:
            assert torch.equal(own[name], tensor), name
    assert model.preprocess == source.preprocess.at(24, 1) and model.classes is None and model.origin.source is None
    assert model(torch.zeros(2, 1, 24, 24), torch.zeros(2, 3, dtype=torch.long)).shape == (2, 3, 11)


def test_the_same_size_is_the_same_trunk(tmp_path):
    source, folder = saved(tmp_path)
    model, _ = initialise({**CAPTIONER, "in_chans": 3, "img_size": 8}, folder, {**FACTS, "in_chans": 3, "img_size": 8})
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(model.eval().encoder.forward_features(images), source.eval().forward_features(images))


def test_how_large_an_image_is_the_data_say(tmp_path):
    """A picture of a scene at the size of one of its parts would be another picture."""
    source, folder = saved(tmp_path)
    assert "size" in peek(folder) and "size" in peek(folder, VIT)
    assert peek(folder, CAPTIONER) == {name: value for name, value in vars(source.preprocess).items() if name != "size"}


def test_a_vit_of_other_parts_is_refused(tmp_path):
    _, folder = saved(tmp_path, layer_scale=0.1)
    with pytest.raises(ZooError, match="does not fit"):
        initialise(CAPTIONER, folder, FACTS)


def test_beside_a_frozen_trunk_all_that_is_new_trains(tmp_path):
    """A decoder that begins at random and stays there says nothing. The trunk is bit for bit what it was."""
    _, folder = saved(tmp_path)
    model, _ = initialise({**CAPTIONER, "dropout": 0.5}, folder, FACTS)
    task = Translation(zoo.adapt(model, "lora"), ADAMW, finetune="lora").train()
    assert set(model.adapter.whole) == {"head", "embed", "decoder"} and task.model is model
    assert all(name.startswith("encoder.blocks.") for name in model.adapter.pieces)
    images, said = torch.randn(2, 1, 24, 24), torch.tensor([[1, 2, 3], [4, 5, 6]])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 0.01)
    model(images, said).square().mean().backward()
    optimizer.step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[0] for name in moved} == {"encoder", "embed", "head", "decoder"}
    assert all(".adapters." in name for name in moved if name.startswith("encoder."))
    back = zoo.load(zoo.save(model, tmp_path / "again"))
    assert torch.equal(back(images, said), model.eval()(images, said)) and back.adapter == model.adapter


def test_a_linear_probe_of_what_says_words_is_refused(tmp_path):
    """It trained the map to the vocabulary behind a decoder that stayed at random."""
    model, _ = initialise(CAPTIONER, saved(tmp_path)[1], FACTS)
    with pytest.raises(ZooError, match="Captioner as it is built has none; take finetune=full, or finetune=lora"):
        Translation(model, ADAMW, finetune="linear_probe")


def test_a_captioner_starts_a_captioner(tmp_path):
    source = randomise(zoo.build(CAPTIONER))
    model, told = initialise(CAPTIONER, str(zoo.save(source, tmp_path / "model")), FACTS)
    assert told == [] and all(map(torch.equal, model.parameters(), source.parameters()))
