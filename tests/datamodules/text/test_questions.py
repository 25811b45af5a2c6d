"""data=squad and data=stories: spans at their tokens, parts, and what is refused."""

import json
import re

import pytest
import torch

from datamodules.sampling import BatchIndex
from datamodules.text import SpanText, Squad, Stories, TextBatch
from datamodules.text.stories import LONGEST, PEOPLE, PLACES, SHORTEST
from zoo.errors import ZooError

CONTEXT = "  Éva lives in Brno. She was born in 1990s Prague, near the Vltava;\nher brother stayed there."


def qa(name, answer, question="Where?", **more):
    starts = [{"text": answer, "answer_start": CONTEXT.index(answer)}]
    return {"id": name, "question": question, "answers": starts, **more}


def article(*qas, context=CONTEXT):
    return {"title": "t", "paragraphs": [{"context": context, "qas": list(qas)}]}


def articles(n=6):
    return [article(qa(f"{i}a", "Brno"), qa(f"{i}b", "the Vltava"), context=f"{CONTEXT} {i}") for i in range(n)]


@pytest.fixture
def squad(tmp_path):
    def make(content, name="train.json", test=None, **options):
        for file, each in ((name, content), *[("dev.json", test)] * (test is not None)):
            raw = each if isinstance(each, bytes) else json.dumps({"version": "1.1", "data": each}).encode()
            (tmp_path / file).write_bytes(raw)
        given = {"tokenizer": {"kind": "byte"}, "context": 48, "split": [0.6, 0.2, 0.2], **options}
        path = str(tmp_path / name)
        more = {"test": str(tmp_path / "dev.json")} if test is not None else {}
        made = Squad(**{"path": path, "cache": str(tmp_path / "cache"), **more, **given})
        made.setup()
        return made

    return make


# -- squad -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{"kind": "byte"}, {"kind": "char"}, {"kind": "bpe", "vocab_size": 300}])
def test_answers_stand_at_their_tokens(squad, kind):
    made = squad(
        [article(qa("x", "Éva"), qa("y", "1990s Prague"), qa("z", "there."))] * 1 + articles(5), tokenizer=kind
    )
    for stage in ("train", "val", "test"):
        data = made.dataset(stage)
        batch = data.__getitems__(BatchIndex(0, list(range(len(data)))))
        assert isinstance(batch, SpanText) and len(batch.start) == len(data) and len(batch.ids) >= len(data)
        for b, (context, answers) in enumerate(zip(batch.contexts, batch.answers, strict=True)):
            first, last = int(batch.start[b]), int(batch.end[b])
            assert context[batch.starts[b, first] : batch.ends[b, last]] == answers[0]
            said = [int(batch.ids.flatten()[batch.places[b, at]]) for at in range(first, last + 1)]
            assert made.spec.tokenizer.decode(said).strip() == answers[0]
    assert made.spec.targets == "span" and made.classes == () and made.spec.usual()["per_token"]


def test_parts_are_of_articles_or_paragraphs_or_files(squad, tmp_path):
    made = squad(articles())
    parts = [{each.name[0] for each in made.source.questions[stage]} for stage in ("train", "val", "test")]
    assert sorted(name for part in parts for name in part) == list("012345")
    assert (made.train_size, made.val_size, made.test_size) == (8, 2, 2)
    one = [{"title": "t", "paragraphs": [each["paragraphs"][0] for each in articles()]}]
    with pytest.raises(ZooError, match=r"makes 3 parts, and there are 1 documents"):
        squad(one)
    assert squad(one, split_by="paragraph").digest("test") == made.digest("test")
    with pytest.raises(ZooError, match=r"data.split_by=page is unknown"):
        squad(one, split_by="page")
    two = squad(articles(), test=[article(qa("t", "Brno"))])
    assert (two.train_size, two.val_size, two.test_size) == (8, 4, 1)
    assert two.source.questions["test"][0].name == "t"
    folder = squad(articles(), path=str(tmp_path), test=None)
    assert folder.digest("test") == two.digest("test")
    same = squad(articles(), test=None, path=str(tmp_path / "train.json"))
    assert same.digest("test") == made.digest("test")
    with pytest.raises(ZooError, match=r"is a folder, with its own file for the test"):
        Squad(path=str(tmp_path), test="x.json").setup()
    (tmp_path / "train2.json").write_text("{}")
    with pytest.raises(ZooError, match=r"has 2 files train\*.json, and one is needed"):
        Squad(path=str(tmp_path)).setup()


def test_packed_they_are_text_like_any_other(squad):
    made = squad(articles(), pack="documents")
    batch = next(iter(made.train_dataloader()))
    assert type(batch) is TextBatch and made.spec.targets == "tokens"
    assert "Where?\nWhere?" in made.spec.tokenizer.decode(batch.ids.flatten().tolist())


def test_a_digest_knows_the_answers(squad):
    before = squad([article(qa("x", "Brno"))] * 1 + articles(5), split=[1, 0, 0]).digest("train")
    after = squad([article(qa("x", "Prague"))] * 1 + articles(5), split=[1, 0, 0]).digest("train")
    assert before != after


def moved(by, answer="Brno"):
    return {"id": "m", "question": "Where?", "answers": [{"text": answer, "answer_start": CONTEXT.index(answer) + by}]}


BAD = {
    "not at answer_start": ([article(qa("a", "Brno"), moved(1))],
                            r"does not stand at its answer_start, of 1 of 2 questions \('m'\)"),
    "before the context": ([article(moved(-100))], r"answer_start, of 1 of 1 questions \('m'\)"),
    "behind it": ([article(moved(500))], r"answer_start, of 1 of 1 questions"),
    "many elsewhere": ([article(*[{**moved(2), "id": f"m{i}"} for i in range(5)])],
                       r"of 5 of 5 questions \('m0', 'm1', 'm2', \.\.\.\)"),
    "impossible": ([article(qa("a", "Brno"), qa("i", "Brno", is_impossible=True), {"id": "j", "question": "?", "answers": []})],
                   r"2 questions are impossible, as SQuAD 2.0 has them, the first 'i'"),
    "one impossible": ([article(qa("i", "Brno", is_impossible=True))], r"1 question is impossible"),
    "no JSON": (b"{'data'", r"is no JSON \(Expecting property name"),
    "no UTF-8": (b'{"data": "\xff"}', r"is no JSON \('utf-8' codec"),
    "deep": (b"[" * 100_000, r"is nested too deep"),
    "a list": (b"[1]", r"is a list, and must be an object with 'data'"),
    "no data": (b"{}", r"has no 'data', which SQuAD 1.1 has there"),
    "data as text": (b'{"data": "x"}', r"'data' is \"x\", and must be a list"),
    "no paragraphs": ([{"title": "x"}], r"data\[0\] has no 'paragraphs'"),
    "no context": ([{"paragraphs": [{"qas": []}]}], r"data\[0\].paragraphs\[0\] has no 'context'"),
    "no qas": ([{"paragraphs": [{"context": "x"}]}], r"has no 'qas'"),
    "no id": ([article({"question": "?", "answers": []})], r"qas\[0\] has no 'id'"),
    "an id as a number": ([article({"id": 5, "question": "?"})], r"'id' is 5, and must be text"),
    "no question": ([article({"id": "x"})], r"has no 'question'"),
    "an empty question": ([article(qa("x", "Brno", question=" "))], r"question 'x': its question is empty"),
    "no answers": ([article({"id": "x", "question": "?"})], r"has no 'answers'"),
    "an answer as text": ([article({"id": "x", "question": "?", "answers": ["Brno"]})], r"question 'x', an answer is a str"),
    "a start as text": ([article({"id": "x", "question": "?", "answers": [{"text": "B", "answer_start": "5"}]})],
                        r"question 'x', an answer: 'answer_start' is \"5\", and must be a whole number"),
    "a start that is a share": ([article({"id": "x", "question": "?", "answers": [{"text": "B", "answer_start": 5.0}]})],
                              r"is 5.0, and must"),
    "an empty answer": ([article({"id": "x", "question": "?", "answers": [{"text": " ", "answer_start": 0}]})],
                        r"an answer is empty"),
    "twice": ([article(qa("x", "Brno"), qa("x", "Prague"))], r"the id 'x' stands at two questions"),
    "no questions": ([article()], r"has no question; give it some"),
    "a long number": (b'{"data": ' + b"1" * 5000 + b"}", r"is no JSON|must be a list"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files(squad, case):
    content, said = BAD[case]
    with pytest.raises(ZooError, match=said) as refused:
        squad(content)
    assert len(str(refused.value)) < 600


def test_what_does_not_fit(squad, tmp_path):
    with pytest.raises(
        ZooError, match=r"1 question is too long for data.context=48, the longest \('q'\) of 60 tokens.*=86 or more"
    ):
        squad([article(qa("q", "Brno", question="w" * 60)), *articles(5)])
    made = squad([article(qa("q", "Brno", question="w" * 60)), *articles(5)], context=86)
    assert made.train_size + made.val_size + made.test_size == 11
    with pytest.raises(ZooError, match=r"no token that ends a text"):
        squad(articles(), tokenizer={"kind": "byte", "special": False})
    with pytest.raises(ZooError, match=r"makes nothing of the answer '.*' of question 'q'"):
        zero = {"id": "q", "question": "Where?", "answers": [{"text": "\x01", "answer_start": 0}]}
        squad([article(zero, context="\x01 x"), *articles(5)], tokenizer={"kind": "wordpiece", "vocab_size": 200})
    for stride in (0, -1, True, 1.5):
        with pytest.raises(ZooError, match=f"data.stride={stride} is not a number of tokens"):
            Squad(stride=stride)
    with pytest.raises(ZooError, match=r"needs data.path="):
        Squad(cache=str(tmp_path)).setup()
    with pytest.raises(ZooError, match=r"is no file"):
        Squad(path=str(tmp_path / "no.json")).setup()


# -- stories -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    made = Stories(
        cache=str(tmp_path_factory.mktemp("cache")), tokenizer={"kind": "byte"}, context=300, sizes=(300, 50, 50)
    )
    made.setup()
    return made


def test_stories_are_told_as_babi_tells_them(stories):
    """Issue 12: 2-6 sentences, 4 people, 6 places; the answer is the last place of the one who is asked for."""
    sentence = re.compile(r"(\w+) (?:foi para|andou até|voltou para|correu para) ([ao]) (\w+)\.(?: |$)")
    corpus, people, places, lengths = stories.source.corpus, set(), set(), set()
    assert len(corpus.questions) == 400
    for question in corpus.questions:
        story = corpus.contexts[question.context]
        said = sentence.findall(story)
        assert sentence.sub("", story) == "" and all(PLACES[place] == article for _, article, place in said)
        who = re.fullmatch(r"Onde está (\w+)\?", question.text).group(1)
        answer = [place for person, _, place in said if person == who][-1]
        assert question.answers == (answer,) and story[question.starts[0] :].startswith(f"{answer}.")
        lengths.add(len(said))
        people |= {person for person, _, _ in said}
        places |= {place for _, _, place in said}
    assert lengths == set(range(SHORTEST, LONGEST + 1)) and people == set(PEOPLE) and places == set(PLACES)
    assert (len(people), len(places)) == (4, 6)


def test_no_story_is_in_two_parts_and_a_seed_is_a_set(stories):
    corpus = stories.source.corpus
    assert len(set(corpus.contexts)) == 400
    assert [len(corpus.splits[stage]) for stage in ("train", "val", "test")] == [300, 50, 50]
    again, other = (Stories(sizes=(300, 50, 50), split_seed=seed).load() for seed in (0, 1))
    assert list(again.contexts) == list(corpus.contexts) != list(other.contexts)
    assert not torch.equal(stories.rows("train"), stories.rows("test"))


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 2), (1, -1, 1), (True, 1, 1), "abc", (10**7, 0, 0)])
def test_sizes_that_are_none(sizes):
    with pytest.raises(ZooError, match=r"is not three numbers of stories; give \[10000, 1000, 1000\]"):
        Stories(sizes=sizes)


def test_answers_for_which_no_question_is_read():
    """report baselines data=stories: the last place of all, the first, the commonest."""
    from zoo.reports.baselines.questions import figures

    corpus = Stories(sizes=(300, 0, 50)).load()
    found = figures(corpus)
    last = [
        max(PLACES, key=corpus.contexts[question.context].rfind) == question.answers[0]
        for question in corpus.asked("test")
    ]
    assert found["the training answer that stands last"] == (sum(last) / 50, sum(last) / 50)
    assert all(0 <= share <= 1 for pair in found.values() for share in pair) and len(found) == 3
