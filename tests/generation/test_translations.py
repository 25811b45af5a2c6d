"""`zoo.translate`: from text to text what `model.generate` says of ids, whatever the batches."""

import pytest
import torch

import zoo
from zoo.errors import ZooError
from zoo.generation.translations import translations
from zoo.models.language.gpt import GPT
from zoo.models.pairs.bahdanau import Bahdanau
from zoo.models.pairs.seq2seq import Seq2Seq
from zoo.models.pairs.transformer import Transformer2017
from zoo.text import train_tokenizer

TOKENIZER = train_tokenizer("char", ["abcdef "], special=True)
V = TOKENIZER.vocab_size
TEXTS = ["abc", "", "f", "fedcba", "  ", "aabbcc"]


def made(kind, **more):
    torch.manual_seed(1)
    model = kind(V, V, 8, **more).double()
    for p in model.parameters():
        p.data *= 2
    model.tokenizer = TOKENIZER
    return model


@pytest.fixture(params=[Seq2Seq, Bahdanau, Transformer2017])
def model(request):
    return made(request.param, **({"depth": 1, "num_heads": 2} if request.param is Transformer2017 else {}))


@pytest.mark.parametrize("how", [{}, {"num_beams": 3, "max_new_tokens": 6}, {"temperature": 1.0, "seed": 4}])
def test_a_sentence_alone_is_the_sentence_in_a_batch(model, how):
    """Also beside empty ones: what sentence i draws with seed s is what it draws alone with s + i (C14)."""
    whole = zoo.translate(model, TEXTS, **how)
    assert [not text for text in TEXTS if not text.strip()] and whole[1] == whole[4] == ""
    assert whole == zoo.translate(model, TEXTS, batch_size=2, **how)
    for i, text in enumerate(TEXTS):
        alone = {**how, "seed": how["seed"] + i} if "seed" in how else how
        assert zoo.translate(model, text, **alone) == [whole[i]]


def test_it_is_what_generate_says(model):
    ids = torch.tensor([TOKENIZER.encode("abcdef")])
    how = {"temperature": 2.0, "seed": 5, "stop": []}
    said = model.generate(ids, max_new_tokens=22, **how)
    text = TOKENIZER.decode(said.ids[0, : said.lengths[0]].tolist())
    assert zoo.translate(model, "abcdef", **how) == [text] and len(text) > 3
    (found,) = translations(model, ["abcdef"], **how)
    assert (found.source, found.ids) == (ids[0].tolist(), said.ids[0, : said.lengths[0]].tolist())
    assert zoo.translate(model, "abcdef", **how | {"stop": [text[2:4]]}) == [text[: text.find(text[2:4])]]


def test_the_source_may_have_a_tokenizer_of_its_own():
    other = train_tokenizer("char", ["xyz"], special=True)
    torch.manual_seed(0)
    model = Bahdanau(other.vocab_size, V, 8)
    model.tokenizer, model.source_tokenizer = TOKENIZER, other
    (found,) = translations(model, ["xyzzy"])
    assert found.source == other.encode("xyzzy")
    with pytest.raises(ZooError, match="'a'"):
        zoo.translate(model, "a")


def test_an_end_of_the_models_own_is_not_said():
    """Its end token need not be the tokenizer's: released models say theirs in generation_config.json."""
    model = made(Transformer2017, depth=1, num_heads=2)
    how = {"temperature": 2.0, "seed": 3, "max_new_tokens": 12}
    said = zoo.translate(model, "abc", **how, stop=[])[0]
    model.end_tokens = (TOKENIZER.encode(said[2])[0],)
    assert zoo.translate(model, "abc", **how) == [said[: said.index(said[2])]]


def test_memory_holds_a_batch():
    """Texts are taken as they are needed."""
    taken = []
    texts = (taken.append(i) or "abc" for i in range(1000))
    rest = translations(made(Bahdanau), texts, batch_size=4, max_new_tokens=2)
    next(rest)
    assert len(taken) == 4


def test_what_is_refused():
    model = made(Bahdanau)
    bare = Bahdanau(V, V, 8)
    gpt = GPT(vocab_size=9, context=8, dim=8, depth=1, num_heads=2)
    for call, said in [
        (lambda: zoo.translate(gpt, "a"), "GPT does not say one sentence for another"),
        (lambda: zoo.translate(bare, "a"), "has no tokenizer"),
        (lambda: zoo.translate(model, ["a", 3]), "takes a text or a list of texts"),
        (lambda: zoo.translate(model, "a", batch_size=0), "batch_size"),
        (lambda: zoo.translate(model, "a", stream=True), "whole sentences"),
        (lambda: zoo.translate(model, "a", num_beams=0), "num_beams"),
        (lambda: zoo.translate(model, "\u00e9"), "\u00e9"),
        (lambda: zoo.generate(model, "a"), r"zoo.translate\(model, text\)"),
    ]:
        with pytest.raises(ZooError, match=said):
            call()
    next(model.parameters()).data.fill_(float("nan"))
    with pytest.raises(ZooError, match="answers NaN"):
        zoo.translate(model, "a")


def test_a_tokenizer_of_more_tokens_than_are_read_is_refused():
    torch.manual_seed(0)
    model = Bahdanau(V - 1, V, 8)
    model.tokenizer = TOKENIZER
    with pytest.raises(ZooError, match=f"reads ids below {V - 1}, and its tokenizer makes {V} of them"):
        zoo.translate(model, "a")


def test_a_source_ends_as_its_tokenizer_says():
    """BART's file puts <s> before and </s> behind a text, which its models were trained to read."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    names = ["<s>", "<pad>", "</s>", "<unk>", "a", "b"]
    inner = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, "<unk>"))
    inner.add_special_tokens(names[:4])
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    model = made(Transformer2017, depth=1, num_heads=2)
    model.source_tokenizer = zoo.text.files.from_text(inner.to_str(), "here")
    (said,) = translations(model, ["a b"])
    assert said.source == inner.encode("a b").ids == [0, 4, 5, 2]
    model.source_tokenizer = None
    assert next(iter(translations(model, ["ab"]))).source == TOKENIZER.encode("ab")
