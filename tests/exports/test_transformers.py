"""Language models of ours in transformers: the same logits, the same greedy tokens, the same ids; or a refusal by name."""

import pytest
import torch
import transformers

import zoo
from tests.exports.models import TEXT
from tests.pretrained import transformers_models
from tests.pretrained.theirs import randomise
from zoo.errors import ZooError
from zoo.exports.tokenizers import check_same
from zoo.text.plain import Bytes, Characters

SCALED = {"type": "llama3", "factor": 2.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
SCALED["original_max_position_embeddings"] = 16


def part(name, **settings):
    return {"_target_": name, "_partial_": True, **settings}


def small(name, tokenizer=None, **how):
    vocabulary = tokenizer.vocab_size if tokenizer else TEXT["vocab_size"]
    model = randomise(zoo.create_model(name, **{**TEXT, "depth": 2, "vocab_size": vocabulary, **how}))
    model.tokenizer = tokenizer
    return model


@pytest.mark.parametrize("name, tokenizer, how, kind", [
    ("gpt_mini", Bytes(), {}, "GPT2LMHeadModel"),
    ("llama_mini", Characters("abcdefg hijkTq,.x()"), {"num_kv_heads": 1}, "LlamaForCausalLM"),
    ("llama_mini", None, {"tied": False, "qkv_bias": True, "out_bias": True, "mlp_bias": True, "head_dim": 12,
                          "position": part("zoo.attention.RoPE", base=500.0, scaling=SCALED)}, "LlamaForCausalLM"),
    ("gpt_mini", None, {"qkv_bias": False, "out_bias": False, "mlp_bias": False,
                        "norm": part("torch.nn.LayerNorm", bias=False)}, "GPT2LMHeadModel"),
    ("bert_mini", Bytes(), {}, "BertForMaskedLM"),
    ("bert_mini", None, {"num_classes": 3, "pool": "token"}, "BertForSequenceClassification"),
])  # fmt: skip
def test_from_pretrained_loads_what_is_written(name, tokenizer, how, kind, tmp_path):
    """Logits within rounding, greedy tokens and ids equal; and back again by zoo.load."""
    model, folder = small(name, tokenizer, **how), tmp_path / "theirs"
    done = zoo.export(model, "transformers", folder)
    assert done.difference <= 1e-5 and ("greedy" in done.told) == ("bert" not in name)
    theirs = getattr(transformers, kind).from_pretrained(folder).eval()
    ids = transformers_models.ids((2, 11), model.vocab_size)
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, model(ids), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(zoo.load(folder)(ids), model(ids), atol=1e-5, rtol=1e-4)
    if tokenizer:
        check_same(tokenizer, found := transformers.AutoTokenizer.from_pretrained(folder))
        assert (found.eos_token_id, found.pad_token_id) == (tokenizer.eos, tokenizer.pad)
        assert found.encode("fed a cab", add_special_tokens=False) == tokenizer.encode("fed a cab")
        assert theirs.config.eos_token_id == tokenizer.eos
    else:
        assert not list(folder.glob("tokenizer*"))


def test_what_came_from_there_goes_back_as_it_was(tmp_path):
    theirs = transformers_models.make("LlamaForCausalLM")
    zoo.export(zoo.convert(theirs), "transformers", tmp_path / "m")
    again = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "m")
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in theirs.state_dict().items())


def test_half_precision_stays_and_is_compared_in_float32(tmp_path):
    model = small("gpt_mini").bfloat16()
    assert zoo.export(model, "transformers", tmp_path / "m").difference <= 1e-5
    again = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "m", dtype="auto")
    assert {each.dtype for each in (*model.parameters(), *again.parameters())} == {torch.bfloat16}
    assert torch.equal(again.transformer.wte.weight, model.embed.weight)


@pytest.mark.parametrize("name, how, words", [
    ("gpt_mini", {"position": part("zoo.attention.ALiBi")}, r"GPT2LMHeadModel has no blocks.\*.attn.position=ALiBi"),
    ("gpt_mini", {"head_bias": True}, "no head.bias=there"),
    ("bert_mini", {"position": part("zoo.attention.RoPE")}, r"BertForMaskedLM has no blocks.\*.attn.position=RoPE"),
    ("llama_mini", {"pattern": {"_target_": "zoo.attention.Window", "size": 5}}, r"attn.pattern=Window\(size=5\)"),
    ("llama_mini", {"feed_forward": part("zoo.layers.GatedFeedForward", act=part("torch.nn.Softplus"))},
     "mlp.act=Softplus is an activation that transformers does not name"),
    ("gpt_mini", {"num_classes": 3}, r"head.out_features=3"),
    ("bert_mini", {"num_classes": 3, "pool": "mean"}, r"BertForSequenceClassification has no pool='mean'"),
])  # fmt: skip
def test_what_their_classes_have_not_is_refused_by_name(name, how, words, tmp_path):
    model = small(name, **how)
    with pytest.raises(ZooError, match=words):
        zoo.export(model, "transformers", tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_and_other_families_are_refused(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mine.txt").write_text("kept")
    with pytest.raises(ZooError, match="is there already; name a new folder"):
        zoo.export(small("gpt_mini"), "transformers", tmp_path / "m")
    with pytest.raises(ZooError, match="class=ViT is none of GPT, Llama and BERT"):
        zoo.export(zoo.create_model("vit_mini_patch2_8", depth=1), "transformers", tmp_path / "n")
    assert [path.name for path in tmp_path.rglob("*")] == ["m", "mine.txt"]


def test_a_tokenizer_that_reads_otherwise_is_found():
    from zoo.exports.tokenizers import inner_of

    made = transformers.PreTrainedTokenizerFast(tokenizer_object=inner_of(Characters("abcdefgh", special=False)))
    check_same(Characters("abcdefgh", special=False), made)
    with pytest.raises(ZooError, match="reads 'hgfedcba' otherwise than ours"):
        check_same(Characters("hgfedcba", special=False), made)
