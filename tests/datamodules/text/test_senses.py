"""data=senses: sentences around words of two senses, both as frequent, no frame in two parts."""

import re
from collections import Counter

import pytest

from datamodules.text import Senses
from datamodules.text.senses import SENSES
from zoo.errors import ZooError

STAGES = ("train", "val", "test")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    module = Senses(cache=str(tmp_path_factory.mktemp("cache")), tokenizer={"kind": "wordpiece", "vocab_size": 2000})
    module.setup()
    return module


def test_both_senses_of_a_word_are_as_frequent_in_each_part(data):
    for stage, frames in zip(STAGES, (8, 1, 3), strict=True):
        counts = Counter((each.noun, SENSES[each.sense].name) for each in data.sentences(stage))
        assert counts == {(sense.word, sense.name): 12 * frames for sense in SENSES}


def test_no_frame_and_no_sentence_is_in_two_parts(data):
    """What is held out is a frame, not one more sentence of a frame that was trained on."""
    frames = {stage: {(each.sense, each.frame) for each in data.parts[stage]} for stage in STAGES}
    texts = [each.text for stage in STAGES for each in data.parts[stage]]
    assert not frames["train"] & frames["test"] and not frames["train"] & frames["val"]
    assert not frames["val"] & frames["test"] and sum(map(len, frames.values())) == 72
    assert len(set(texts)) == len(texts) == data.train_size + data.val_size + data.test_size
    assert "".join(data.texts("test")) == "".join(each.text for each in data.parts["test"])


def test_sentences_say_where_their_noun_is(data):
    for each in data.parts["train"]:
        assert each.text[each.at :].startswith(each.noun) and each.text[0].isupper() and "{" not in each.text
    texts = {each.text for seed in range(4) for each in Senses(split_seed=seed).parts["train"]}
    assert "Eu gosto de comer manga." in texts and any("cortar a manga da camisa" in text for text in texts)


def test_a_seed_draws_frames_and_sentences(data):
    again, other = Senses(), Senses(split_seed=1)
    assert again.parts == data.parts
    assert {(e.sense, e.frame) for e in other.parts["test"]} != {(e.sense, e.frame) for e in data.parts["test"]}


@pytest.mark.parametrize("seed", range(4))
def test_held_out_frames_have_words_that_were_seen_with_that_sense(seed):
    """What is held out is how words are put together, not all of them."""
    data = Senses(split_seed=seed)
    seen = {sense: set() for sense in range(len(SENSES))}
    for each in data.parts["train"]:
        seen[each.sense] |= words(each)
    assert all(words(each) & seen[each.sense] for each in data.parts["test"])


def words(sentence) -> set[str]:
    """Of its frame, without little ones."""
    return set(re.findall(r"\w{4,}", SENSES[sentence.sense].frames[sentence.frame])) - {"quem"}


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"frames": [8, 1, 4]}, r"data.frames=\[8, 1, 4\] is not three numbers .* 12 in all"),
        ({"frames": [0, 1, 4]}, "data.frames="),
        ({"frames": 8}, "data.frames=8"),
        ({"each": 0}, "data.each=0 is not a number of sentences of a frame; give 1 to 12"),
    ],
)
def test_numbers_that_make_no_sentences_are_refused(settings, sentence):
    with pytest.raises(ZooError, match=sentence):
        Senses(**settings)
