"""Where a captioner looks: a map a word, of the weights that the model's own decoder has."""

import pytest
import torch

from datamodules.captions.scenes import DigitScenes
from zoo.attention import record_attention
from zoo.callbacks.captions import CaptionFigures
from zoo.cli import main
from zoo.errors import ZooError
from zoo.inspect.captions import Shown, choose, look, plot_captions, words_of
from zoo.models.factory import build_model
from zoo.models.fit import label
from zoo.pretrained import probe, save
from zoo.text import train_tokenizer

SIZES = {"img_size": 24, "in_chans": 1, "dim": 8, "depth": 1, "decoder_depth": 2, "num_heads": 2, "patch_size": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = DigitScenes(
        tokenizer={"kind": "words", "min_count": 1}, sizes=(60, 6, 6), cache=str(tmp_path_factory.mktemp("cache"))
    )
    made.setup()
    return made


@pytest.fixture(scope="module")
def model(data):
    torch.manual_seed(0)
    config = {"_target_": "zoo.models.pairs.captioner.Captioner", **SIZES, "class_token": True}
    made = build_model({**config, "target_vocab": data.spec.target_vocab}).eval()
    label(made, data.spec)
    return made


def test_a_map_is_where_the_word_was_said(model, data):
    batch = data.test_rows(1)
    ids = batch.target[0, 1 : batch.target_lengths[0]].tolist()  # with the end token
    looked = look(model, batch.source, ids)
    assert looked.words == data.references("test")[0][0].split() and looked.maps.shape == (2, 2, len(ids) - 1, 3, 3)
    with record_attention(model) as maps:
        model(batch.source, batch.target[:, : len(ids)])
    for layer in (0, 1):
        want = maps[f"decoder.blocks.{layer}.cross"][0, :, : len(ids) - 1, 1:].unflatten(-1, (3, 3))
        torch.testing.assert_close(looked.maps[layer], want)
    assert torch.equal(choose(looked), looked.maps[1].mean(0)) and torch.equal(choose(looked, 0, 1), looked.maps[0, 1])
    for layer, head in ((2, None), (0, 2)):
        with pytest.raises(ZooError, match="is not one of"):
            choose(looked, layer, head)


def test_a_word_of_several_tokens_is_one():
    tokenizer = train_tokenizer("byte", [])
    words, of = words_of(tokenizer, tokenizer.encode("ab  c"))
    assert words == ["ab", "c"] and of == [0, 0, 0, 0, 1]
    assert words_of(tokenizer, []) == ([], [])


def test_predict_says_an_image_and_draws(model, data, tmp_path, capsys):
    """From a model folder alone; beams as of generate; several images of a folder; a table."""
    from PIL import Image

    folder, pictures = tmp_path / "model", tmp_path / "pictures"
    save(model, folder)
    pictures.mkdir()
    for i in (0, 1):
        Image.fromarray(data.seen.loaded().images[data.seen.rows("test")[i], 0].numpy()).save(pictures / f"{i}.png")
    with torch.no_grad():
        made = model.generate(data.test_rows(2).source, num_beams=2, max_new_tokens=5)
    said = [
        model.tokenizer.decode([id for id in ids[:n] if id != model.tokenizer.eos])
        for ids, n in zip(made.ids.tolist(), made.lengths.tolist(), strict=True)
    ]
    how = ["--num-beams", "2", "--max-new-tokens", "5", "--out", str(tmp_path)]
    assert main(["predict", str(folder), str(pictures / "1.png"), *how]) == 0
    assert capsys.readouterr().out.splitlines()[0] == said[1] and (tmp_path / "caption-1.png").stat().st_size > 5000
    assert main(["predict", str(folder), str(pictures), *how]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(" ".join(each.split()) in shown for each in said)
    assert main(["predict", str(folder), str(pictures), "--to", str(tmp_path / "said.csv")]) == 0
    assert (tmp_path / "said.csv").read_text().splitlines()[0] == "input,caption,error"
    capsys.readouterr()
    for more, match in (
        (["--num-beams", "0"], "num_beams is a whole number"),
        (["--node", "3"], "--node 3 is for a graph"),
        (["--layer", "9"], "its 2 layers are numbered from 0"),
        (["--top", "3"], "a caption is one text"),
        (["--to", str(tmp_path / "b.csv"), "--num-beams", "2"], "said greedily"),
    ):
        assert main(["predict", str(folder), str(pictures / "1.png"), *more]) == 2
        assert match in capsys.readouterr().err
    assert main(["info", str(folder)]) == 0 and "3 x 3 patches + 1 before them" in capsys.readouterr().out


def test_a_test_draws_the_first_images(model, data, tmp_path):
    class Trainer:
        datamodule = data

    class Task:
        pass

    Task.model = model
    (draw,) = CaptionFigures().draws()
    draw(Trainer, Task, tmp_path / "captions.png")
    assert (tmp_path / "captions.png").stat().st_size > 5000
    assert probe.compare(model, probe.make(model)) == 0


def test_a_caption_of_any_letters_is_drawn_in_lines(tmp_path):
    """Letters that the font lacks, and a lone $, warn or crash where they are handed to the figure as they are."""
    shown = Shown("\u4e00 $ two\nnot: one", torch.rand(1, 6, 6), ["\u4e00", "$", "two"], torch.rand(3, 2, 2))
    assert plot_captions([shown], tmp_path / "a.png").stat().st_size > 3000
