"""data=captions: COCO's and Flickr's layouts, several captions an image, split by image; bad files are sentences."""

import json
import logging

import pytest
import torch
from PIL import Image

from datamodules.captions import CaptionFolder
from zoo.errors import ZooError

SAID = {f"{name}.png": [f"a {name} here", f"the {name}"] for name in ("red", "green", "blue", "grey", "pink", "white")}
COLOURS = {name: (40 * i, 250 - 40 * i, 90) for i, name in enumerate(SAID)}


def picture(path, name):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), COLOURS[name]).save(path)


def coco(said=SAID):
    images = [{"id": i, "file_name": name} for i, name in enumerate(said)]
    notes = [{"image_id": i, "caption": text + "\n", "id": 7} for i, name in enumerate(said) for text in said[name]]
    return json.dumps({"images": images, "annotations": notes[::-1]})


FILES = {
    "captions_mine.json": coco(),
    "captions.txt": "image,caption\n" + "".join(f'{name},"{t}"\n' for name in SAID for t in SAID[name]),
    "Flickr8k.token": "".join(f"{name}#{i}\t{t}\r\n" for name in SAID for i, t in enumerate(SAID[name])),
}


@pytest.fixture
def folder(tmp_path):
    for name in SAID:
        picture(tmp_path / "pictures" / "inner" / name, name)
    return tmp_path


def data(folder, **more):
    made = CaptionFolder(
        **{
            "path": str(folder), "img_size": 4, "tokenizer": {"kind": "byte"}, "split": [0.5, 0.25, 0.25],
            "cache": str(folder / "cache"), **more,
        }
    )  # fmt: skip
    made.setup()
    return made


@pytest.mark.parametrize("layout", FILES)
def test_each_layout_is_read(folder, layout):
    (folder / layout).write_text(FILES[layout])
    for made in (data(folder), data(folder, path=str(folder / layout))):
        names = {stage: made.sources(stage) for stage in ("train", "val", "test")}
        assert (len(names["train"]), len(names["val"]), len(names["test"])) == (4, 2, 2), (
            "a caption a row, then an image a row"
        )
        assert sum(map(len, map(set, names.values()))) == 6 == len(set().union(*names.values())), "split by image"
        for stage, several in ((stage, made.references(stage)) for stage in names):
            assert all(sorted(refs) == sorted(SAID[name]) for name, refs in zip(names[stage], several, strict=True))
        batch = made.test_rows(1)
        assert batch.source.shape == (1, 3, 4, 4) and batch.lengths is None
        name = names["test"][0]
        mean, std = (torch.tensor(made.preprocess[key]) for key in ("mean", "std"))
        colour = batch.source[0].mean((1, 2)) * std + mean
        torch.testing.assert_close(colour, torch.tensor(COLOURS[name]) / 255, atol=1e-2, rtol=0)
        assert made.spec.tokenizer.decode(batch.target[0, 1:-1].tolist()) in SAID[name]


def test_parts_of_karpathys_file_and_of_names(folder):
    (folder / "captions.txt").write_text(FILES["captions.txt"])
    part = dict(zip(SAID, ["train", "restval", "val", "val", "test", "train"], strict=True))
    content = {"images": [{"filename": name, "split": stage, "sentences": []} for name, stage in part.items()]}
    (folder / "dataset_mine.json").write_text(json.dumps(content))
    made = data(folder)
    assert set(made.sources("train")) == {name for name in SAID if part[name] in ("train", "restval")}
    assert made.sources("test") == [name for name in SAID if part[name] == "test"]
    del content["images"][0]
    (folder / "dataset_mine.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match=r"does not say the part of 1 images, such as red.png"):
        data(folder)
    content["images"][0]["split"] = "trian"
    (folder / "dataset_mine.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match="split 'trian' is none of train, restval"):
        data(folder)


def test_coco_in_two_files(folder, caplog):
    first, second = dict(list(SAID.items())[:4]), dict(list(SAID.items())[4:])
    (folder / "annotations").mkdir()
    (folder / "annotations" / "captions_train2017.json").write_text(coco(first))
    (folder / "annotations" / "captions_val2017.json").write_text(coco(second))
    with caplog.at_level(logging.INFO):
        made = data(folder)
    assert set(made.sources("test")) == set(second) and "val is the test set" in caplog.text
    assert set(made.sources("train")) | set(made.sources("val")) == set(first)


def test_images_are_found_as_everywhere(folder, caplog):
    """Hidden ones are passed over, links are followed and end; images without a caption are left out, and that is said."""
    (folder / "captions.txt").write_text(FILES["captions.txt"])
    picture(folder / ".hidden" / "red.png", "green.png")
    picture(folder / "pictures" / ".red.png", "green.png")
    (folder / "pictures" / "round").symlink_to(folder / "pictures")
    picture(folder / "pictures" / "silent.png", "red.png")
    with caplog.at_level(logging.INFO):
        assert data(folder).train_size == 4
    assert "1 of 7 images" in caplog.text and "silent.png" in caplog.text
    picture(folder / "other" / "red.png", "red.png")
    with pytest.raises(ZooError, match=r"2 images called red.png.*give data.images="):
        data(folder)
    assert data(folder, images=str(folder / "pictures")).train_size == 4


BAD = {
    "no image": (
        "captions.txt",
        FILES["captions.txt"] + "gone.png,a\nlost.png,b\n",
        "2 of 8 images, such as gone.png, lost.png",
    ),
    "json": ("captions_a.json", '{"images":\n [}', "captions_a.json is no JSON: line 2"),
    "other json": ("captions_a.json", "[1]", "has no list 'images'"),
    "no name": ("captions_a.json", '{"images": [{"id": 1}], "annotations": []}', "row 0 is without id and file_name"),
    "a stranger": (
        "captions_a.json",
        '{"images": [], "annotations": [{"image_id": 3, "caption": "x"}]}',
        "1 captions are of images that the file does not list, of ids 3",
    ),
    "two of an id": (
        "captions_a.json",
        '{"images": [{"id": 1, "file_name": "red.png"}, {"id": 1, "file_name": "green.png"}], "annotations": []}',
        "the id 1 stands at two images, 'red.png' and 'green.png'",
    ),
    "a long number": ("captions_a.json", '{"images": 1' + "0" * 5000 + "}", "captions_a.json cannot be read"),
    "lists as ids": ("captions_a.json", '{"images": [{"id": [1], "file_name": "a"}], "annotations": []}', "row 0 is"),
    "empty caption": ("captions_a.json", coco({"red.png": ["x", " "]}), "caption 0 is empty"),
    "a line": ("a.token", "red.png#0\ta\nred.png a\n\n#1\tb\n", "lines 2, 4 are not name#number, a tab and a caption"),
    "a row": ("captions.txt", "image,caption\nred.png\n", "line 2 is not an image, a comma and its caption"),
    "nothing": ("captions.txt", "image,caption\n", "has no caption; give"),
    "no utf-8": ("captions.txt", b"image,caption\nred.png,\xff\n", "is no UTF-8: byte 22 is 0xff"),
    "nowhere": ("captions.bad", "", "holds no file of captions"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_sentences(folder, case):
    name, text, match = BAD[case]
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ZooError, match=match) as error:
        data(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (dict(path=None), "needs data.path="),
        (dict(path="nowhere.json"), "nowhere.json is no file"),
        (dict(images="nowhere"), "data.images=nowhere is not a folder"),
        (dict(parts="nowhere.json"), "nowhere.json is no file"),
        (dict(split=[0.5, 0.6]), "not three shares"),
    ],
)
def test_bad_settings_are_sentences(folder, more, match):
    (folder / "captions.txt").write_text(FILES["captions.txt"])
    with pytest.raises(ZooError, match=match):
        data(folder, **more)
