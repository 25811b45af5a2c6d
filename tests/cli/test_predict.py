"""`python -m zoo predict`; B2: the maps come from the model as it is."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import zoo as library
from zoo.inspect import to_input


@pytest.fixture
def photos(tmp_path) -> Path:
    """Three pictures of different sizes and modes, one in a folder of its own."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, mode, size in [("a.png", "L", (8, 8)), ("b.jpg", "RGB", (30, 20)), ("more/c.png", "RGBA", (9, 9))]:
        pixels = torch.randint(256, (*size, 4), dtype=torch.uint8)
        Image.fromarray(pixels.numpy(), "RGBA").convert(mode).save(folder / name)
    return folder


def test_one_image(zoo, run, photos):
    code, out, err = zoo("predict", run, photos / "a.png", "--top", "3")
    assert code == 0, err
    title, *rows, png = out.splitlines()
    model = library.load(run)
    with Image.open(photos / "a.png") as image:
        shares, places = model(to_input(image, model.preprocess)).softmax(-1)[0].topk(3)
    wanted = [f"digit {i}  {100 * share:.1f} %" for share, i in zip(shares.tolist(), places.tolist(), strict=True)]
    assert title == str(photos / "a.png") and [row.strip() for row in rows] == wanted
    assert Path(png) == Path.cwd() / "attention-a.png"
    with Image.open(png) as image:
        assert image.width > image.height  # a row: the image, then its heads


def test_a_folder(zoo, run, photos):
    code, out, _ = zoo("predict", run, photos, "--top", "1", "--out", "figures/x.png")
    *rows, png = out.splitlines()
    assert code == 0 and [Path(row.split()[0]).name for row in rows] == ["a.png", "b.jpg", "c.png"]
    assert Path(png) == Path.cwd() / "figures" / "x.png" and Path(png).is_file()


def test_a_broken_image_of_a_folder_hides_no_other(zoo, run, photos, refused):
    (photos / "a2.png").write_bytes(b"no image")
    code, out, err = zoo("predict", run, photos, "--top", "1", "--out", "x.png")
    assert code == 1 and [Path(row.split()[0]).name for row in out.splitlines()] == ["a.png", "b.jpg", "c.png", "x.png"]
    assert err.startswith("error: ") and "a2.png cannot be read" in err and err.count("\n") == 1
    Path("x.png").unlink()
    Path("b.png").write_bytes(b"no image")
    Path("c.png").write_bytes(b"no image")
    assert "None of the 2 images in . can be read; the first: b.png" in refused("predict", run, ".")


def test_several_inputs_and_none_overwrites_the_figure_of_another(zoo, run, photos, tmp_path, refused):
    for name in ("a.png", "more/c.png"):
        target = tmp_path / "other" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((photos / name).read_bytes())
    sources = [photos / "a.png", tmp_path / "other" / "a.png", "test:1", tmp_path / "other" / "more", photos / "a.png"]
    code, out, err = zoo("predict", run, *sources, "--top", "1", "--out", "figures")
    assert code == 0, err
    names = ["photos-a.png", "other-a.png", "test-1.png", "more.png", "photos-a-2.png"]
    drawn = [Path(line).name.removeprefix("attention-") for line in out.splitlines() if line.endswith(".png")]
    assert [name for name in drawn if name != "a.png" and name != "c.png"] == names
    assert {path.name for path in Path("figures").iterdir()} == {f"attention-{name}" for name in names}
    assert "x.png is one file for 2 inputs" in refused("predict", run, *sources[:2], "--out", "x.png")
    assert "nowhere.npz" in refused("predict", run, sources[0], "nowhere.npz")  # before anything is told


def test_an_image_of_the_test_set(zoo, run, refused):
    code, out, _ = zoo("predict", run, "test:2")
    assert code == 0 and out.startswith("test:2 (") and Path("attention-test-2.png").is_file()
    assert "its 360 images are numbered from 0" in refused("predict", run, "test:360")
    assert "test:<number>" in refused("predict", run, "test:x")
    assert "config.yaml" in refused("predict", run / "model", "test:2")


def test_an_image_of_a_test_set_of_ones_own(run, zoo, refused, photos, tmp_path):
    """A8: which folder of the reader's is read, the reader says, not a config that came with the weights."""
    own = tmp_path / "own"
    shutil.copytree(run, own)
    for name in ("test/cat/a.png", "test/dog/b.jpg", "train/cat/a.png", "train/dog/b.jpg", "val/cat/a.png"):
        target = tmp_path / "pictures" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / target.name, target)
    data = {"_target_": "datamodules.images.ImageFolder", "root": str(tmp_path / "pictures")}
    (own / "config.yaml").write_text(json.dumps({"data": data}))
    said = refused("predict", own, "test:1")
    assert f"root={tmp_path / 'pictures'}" in said and "give --data FOLDER" in said
    code, out, err = zoo("predict", own, "test:1", "--data", tmp_path / "pictures")
    assert code == 0 and out.startswith("test:1 (dog)"), err
    assert "Leave it out" in refused("predict", run, "test:1", "--data", tmp_path)


def test_a_model_without_attention_still_predicts(zoo, photos, tmp_path):
    from zoo.models import Preprocess

    model = library.build({"_target_": "zoo.models.cnn.CNN", "in_chans": 1, "num_classes": 3, "widths": [4]})
    model.preprocess = Preprocess(8, 1, (0.5,), (0.5,))
    library.save(model, tmp_path / "cnn")
    code, out, _ = zoo("predict", tmp_path / "cnn", photos / "a.png")
    assert code == 0 and "no attention to draw" in out and list(Path.cwd().iterdir()) == []


def test_bad_inputs(refused, run, photos, tmp_path):
    (tmp_path / "broken.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    for words, said in {
        (run, tmp_path / "broken.png"): f"{tmp_path / 'broken.png'} cannot be read as an image",
        (run, tmp_path / "nowhere.png"): "nowhere.png does not exist",
        (run, tmp_path / "empty"): "holds no images",
        (run, photos, "--top", "0"): "--top 0",
        (run, photos, "--out", "x.pdf"): "x.pdf is not a .png",
        (run.parent / "a_rum", photos): "did you mean 'a_run'?",
    }.items():
        assert said in refused("predict", *words)
    assert list(Path.cwd().iterdir()) == []
