"""data=digit_scenes: the sentence of a scene follows a rule, and what is tested was never seen."""

import re
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.captions import DigitScenes
from datamodules.captions.scenes import NUMBERS, PLACES, compose, sentence
from datamodules.images import Digits
from zoo.errors import ZooError

WORDS = {"kind": "words", "min_count": 1}
SCENE = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 9)), min_size=1, max_size=3, unique_by=lambda each: each[0]
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = DigitScenes(tokenizer=WORDS, sizes=(90, 30, 60), cache=str(tmp_path_factory.mktemp("cache")))
    made.setup()
    return made


@settings(max_examples=100, deadline=None)
@given(scene=SCENE, order=st.randoms())
def test_a_scene_has_one_sentence(scene, order):
    """Whatever order its digits come in; and what it says of them is so."""
    cells, digits = zip(*sorted(scene), strict=True)
    said = sentence(cells, digits)
    mixed = order.sample(scene, len(scene))
    assert sentence(*zip(*mixed, strict=True)) == said
    named = re.findall(rf"(an?) ({'|'.join(NUMBERS)})", said)
    assert [NUMBERS.index(word) for _, word in named] == list(digits)
    assert all((article == "an") == (word == "eight") for article, word in named)
    if len(cells) == 1:
        assert said.endswith(PLACES[cells[0]])
        return
    between = re.split(rf"an? (?:{'|'.join(NUMBERS)})", said)[1:-1]
    for (a, b), words in zip(pairwise(cells), between, strict=True):
        assert ("above" in words) == (a // 3 < b // 3)
        assert ("left of" in words) == (a % 3 < b % 3) and ("right of" in words) == (a % 3 > b % 3)
    assert said.count("which is") == len(cells) - 2


def test_sentences_as_they_read():
    assert sentence([1, 4], [3, 7]) == "a three above a seven"
    assert sentence([4], [3]) == "a three in the middle"
    assert sentence([8, 0, 1], [0, 8, 2]) == "an eight left of a two which is above and left of a zero"


@settings(max_examples=20, deadline=None)
@given(scene=SCENE)
def test_a_picture_holds_its_digits_and_nothing_else(scene):
    k = len(scene)
    pictures = torch.full((1, 3, 8, 8), 9, dtype=torch.uint8)
    pictures[0, :k] = torch.arange(1, k + 1, dtype=torch.uint8)[:, None, None]
    cells = torch.tensor([[cell for cell, _ in scene] + [0] * (3 - k)])
    made = compose(pictures, cells, torch.tensor([k]))
    assert made.shape == (1, 1, 24, 24)
    want = torch.zeros(9, dtype=torch.uint8)
    want[cells[0, :k]] = torch.arange(1, k + 1, dtype=torch.uint8)
    blocks = made[0, 0].reshape(3, 8, 3, 8).transpose(1, 2).reshape(9, 64)
    assert torch.equal(blocks, want[:, None].expand(9, 64))


def test_no_digit_is_in_two_parts(data):
    """C9. Each cell that is not empty is a picture of the part's own digits, those of data=digits with the same split_seed."""
    digits, images = Digits(), data.seen.loaded().images
    digits.setup()
    found = {}
    for stage in ("train", "val", "test"):
        own = {image.numpy().tobytes() for image in digits.loaded().images[digits.rows(stage)]}
        scenes = images[data.seen.rows(stage)][:, 0].reshape(-1, 3, 8, 3, 8).transpose(2, 3).reshape(-1, 64)
        found[stage] = {cell.numpy().tobytes() for cell in scenes if cell.any()}
        assert found[stage] and found[stage] <= own
    assert not found["train"] & found["test"] and not found["val"] & found["test"] and not found["train"] & found["val"]


def test_counts_are_balanced_and_texts_are_of_the_pictures(data):
    said = [references[0] for references in data.references("train")]
    counts = [len(re.findall("|".join(NUMBERS), text)) for text in said]
    assert [counts.count(k) for k in (1, 2, 3)] == [30, 30, 30]
    batch = data.test_rows(5)
    assert batch.source.shape == (5, 1, 24, 24) and batch.lengths is None
    pixels = (data.seen.loaded().images[data.seen.rows("test")[:5]].float() / 255).sum((1, 2, 3)) > 0
    assert pixels.all()
    for row, text in enumerate(data.references("test")[:5]):
        ids = batch.target[row, 1 : batch.target_lengths[row] - 1].tolist()
        assert [data.spec.tokenizer.decode(ids)] == text


def test_scenes_are_those_of_their_seed(tmp_path):
    def digest(**more):
        made = DigitScenes(tokenizer=WORDS, sizes=(30, 6, 6), cache=str(tmp_path), **more)
        made.setup()
        return made.digest("test")

    assert digest() == digest(seed=3) != digest(split_seed=1)


def test_a_model_and_its_preprocessing_go_together(data):
    spec = data.spec
    assert (spec.img_size, spec.in_chans, spec.target_vocab) == (24, 1, data.spec.tokenizer.vocab_size)
    assert spec.preprocess.size == 24 and spec.sizes() == {
        "target_vocab": spec.target_vocab,
        "img_size": 24,
        "in_chans": 1,
    }


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (dict(sizes=[10, 2]), r"data.sizes=\[10, 2\] is not three numbers of scenes"),
        (dict(sizes=[0, 2, 2]), "data.sizes"),
        (dict(augment={"flip": True}), "makes left right"),
    ],
)
def test_bad_settings_are_sentences(more, match):
    from datamodules.images import Augment

    if "augment" in more:
        more = {"augment": Augment(**more["augment"])}
    with pytest.raises(ZooError, match=match):
        DigitScenes(tokenizer=WORDS, **more)
