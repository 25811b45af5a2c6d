"""data=senses: sentences around words of two senses, both as frequent, no frame in two parts."""

import re
from collections import Counter

import pytest

from datamodules.text import Senses
from datamodules.text.frames import expand
from datamodules.text.senses import SENSES
from zoo.errors import ZooError

STAGES = ("train", "val", "test")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    module = Senses(cache=str(tmp_path_factory.mktemp("cache")), tokenizer={"kind": "wordpiece", "vocab_size": 2000})
    module.setup()
    return module


def test_both_senses_of_a_word_are_as_frequent_in_each_part(data):
    for stage, frames in zip(STAGES, (24, 4, 8), strict=True):
        counts = Counter((each.noun, SENSES[each.sense].name) for each in data.sentences(stage))
        assert counts == {(sense.word, sense.name): 4 * frames for sense in SENSES}


def test_no_frame_and_no_sentence_is_in_two_parts(data):
    """What is held out is a frame, not one more sentence of a frame that was trained on."""
    frames = {stage: {(each.sense, each.frame) for each in data.parts[stage]} for stage in STAGES}
    texts = [each.text for stage in STAGES for each in data.parts[stage]]
    assert not frames["train"] & frames["test"] and not frames["train"] & frames["val"]
    assert not frames["val"] & frames["test"] and sum(map(len, frames.values())) == 6 * 36
    assert len(set(texts)) == len(texts) == data.train_size + data.val_size + data.test_size
    assert "".join(data.texts("test")) == "".join(each.text for each in data.parts["test"])


def test_sentences_say_where_their_noun_is(data):
    for each in data.parts["train"]:
        assert each.text[each.at :].startswith(each.noun) and each.text[0].isupper() and "{" not in each.text
    texts = {each.text for seed in range(4) for each in Senses(split_seed=seed).parts["train"]}
    assert any("gosto de comer manga." in text for text in texts)
    assert any("gosto de cortar a manga da camisa." in text for text in texts)


def test_a_seed_draws_frames_and_sentences(data):
    again, other = Senses(), Senses(split_seed=1)
    assert again.parts == data.parts
    assert {(e.sense, e.frame) for e in other.parts["test"]} != {(e.sense, e.frame) for e in data.parts["test"]}


@pytest.mark.parametrize("seed", range(8))
def test_every_word_of_held_out_frames_was_seen_with_that_sense(seed):
    """What is held out is how words are put together, not the words."""
    data = Senses(split_seed=seed)
    seen = {sense: set() for sense in range(len(SENSES))}
    for each in data.parts["train"]:
        seen[each.sense] |= words(SENSES[each.sense].frames[each.frame])
    held = [each for stage in ("val", "test") for each in data.parts[stage]]
    assert all(words(SENSES[each.sense].frames[each.frame]) <= seen[each.sense] for each in held)


def words(frame) -> set[str]:
    """Of a frame, without little ones."""
    return set(re.findall(r"\w{4,}", frame)) - {"quem"}


def test_senses_share_verbs_and_words_of_the_others_field_but_no_frame():
    """A word of the sentence, whichever, is not enough everywhere."""
    for first, second in zip(SENSES[::2], SENSES[1::2], strict=True):
        assert first.word == second.word and not set(first.frames) & set(second.frames)
        shared = {word for frame in first.frames for word in words(frame)} & {
            word for frame in second.frames for word in words(frame)
        }
        for sense in (first, second):
            assert len(set(sense.frames)) == len(sense.frames) >= 36
            assert sum(bool(words(frame) & shared) for frame in sense.frames) > len(sense.frames) / 3


def test_patterns_are_read_in_all_ways():
    assert expand("o {x}.") == ["o {x}."]
    assert expand("(ela|ele) viu o {x} (novo|velho).") == [
        "ela viu o {x} novo.",
        "ela viu o {x} velho.",
        "ele viu o {x} novo.",
        "ele viu o {x} velho.",
    ]


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"frames": [32, 4, 8]}, r"data.frames=\[32, 4, 8\] is not three numbers .* 40 in all"),
        ({"frames": [0, 4, 8]}, "data.frames="),
        ({"frames": 8}, "data.frames=8"),
        ({"each": 0}, "data.each=0 is not a number of sentences of a frame; give 1 to 12"),
    ],
)
def test_numbers_that_make_no_sentences_are_refused(settings, sentence):
    with pytest.raises(ZooError, match=sentence):
        Senses(**settings)
