"""zoo.load of folders of the Hugging Face hub's form: as transformers' own model, and without importing it."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo
from tests.pretrained.transformers_models import BY_NAME, GATED, V, ids, make, ours_of, outputs
from zoo.cli import main
from zoo.models.language.bert import CONFIGS
from zoo.pretrained import initialise
from zoo.text import Bytes, LibraryTokenizer, train_tokenizer

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def compare(theirs, ours):
    want = outputs(theirs, ids())
    got = ours_of(ours, ids(), pooled=getattr(theirs, "pooler", None) is not None)
    assert (got - want).abs().max() <= 1e-4 * max(1.0, want.abs().max().item())


def write(theirs, folder, **options):
    theirs.save_pretrained(folder, **options)
    return folder


def change(folder, name=CONFIG, drop=(), **values):
    """Other keys in a JSON file."""
    path = folder / name
    content = {key: value for key, value in json.loads(path.read_text()).items() if key not in drop}
    path.write_text(json.dumps({**content, **values}))


@pytest.mark.parametrize("kind", BY_NAME)
def test_a_folder_is_the_model(kind, tmp_path):
    """C14: the logits of what transformers saved; then a model folder of ours."""
    theirs = make(kind)
    ours = zoo.load(write(theirs, tmp_path / "theirs"))
    compare(theirs, ours)
    assert not ours.training and ours.converted_from == kind
    again = zoo.load(zoo.save(ours, tmp_path / "ours"))
    assert torch.equal(ours_of(again, ids()), ours_of(ours, ids()))


def test_shards(tmp_path):
    theirs = make("Qwen3ForCausalLM")
    folder = write(theirs, tmp_path / "shards", max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2 and not (folder / WEIGHTS).exists()
    compare(theirs, zoo.load(folder))


def pickled(folder, count=1):
    """The weights by torch.save, in one file or in shards."""
    state = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    if count == 1:
        torch.save(state, folder / "pytorch_model.bin")
        return folder
    names, files = sorted(state), [f"pytorch_model-{i:05}-of-{count:05}.bin" for i in range(count)]
    for i, file in enumerate(files):
        torch.save({name: state[name] for name in names[i::count]}, folder / file)
    named = {name: files[i % count] for i, name in enumerate(names)}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": named}))
    return folder


@pytest.mark.parametrize("count", [1, 3])
def test_pickle_by_its_tensors(count, tmp_path):
    theirs = make("GPT2LMHeadModel")
    compare(theirs, zoo.load(pickled(write(theirs, tmp_path / "it"), count)))


@pytest.mark.parametrize("file", [WEIGHTS, "pytorch_model.bin"])
def test_a_file_of_weights_means_its_folder(file, tmp_path):
    theirs = make("LlamaForCausalLM")
    folder = write(theirs, tmp_path / "it")
    compare(theirs, zoo.load((folder if file == WEIGHTS else pickled(folder)) / file))


def test_without_importing_transformers(tmp_path):
    folder = write(make("LlamaForCausalLM"), tmp_path / "it")
    code = f"import sys, zoo; zoo.load({str(folder)!r}); print([m for m in sys.modules if m.split('.')[0] == 'transformers'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- config.json of version 4 ---------------------------------------------------------------------------------------------

OLD_ROPE = {
    "nothing": ({}, {}),
    "theta": ({"rope_theta": 500.0}, {"rope_theta": 500.0}),
    "nulls": ({"rope_theta": 500.0, "rope_scaling": None}, {"rope_theta": 500.0}),
    "type": (
        {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 3.0}},
        {"rope_theta": 500.0, "rope_type": "linear", "factor": 3.0},
    ),
    "both names of it": (
        {"rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 3.0}},
        {"rope_theta": 10000.0, "rope_type": "linear", "factor": 3.0},
    ),
    "llama3": (
        {
            "rope_theta": 500000,
            "rope_scaling": {
                "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
        {
            "rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    ),
    "yarn, whose length is the context": (
        {"rope_scaling": {"type": "yarn", "factor": 2.0, "finetuned": True}},
        {"rope_theta": 10000.0, "rope_type": "yarn", "factor": 2.0},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new"), OLD_ROPE.values(), ids=OLD_ROPE)
def test_rope_of_version_4(old, new, tmp_path):
    theirs = make("LlamaForCausalLM", rope_parameters={"rope_theta": 10000.0, "rope_type": "default", **new})
    folder = write(theirs, tmp_path / "it")
    change(folder, drop=("rope_parameters", "dtype"), torch_dtype="float32", transformers_version="4.40.0", **old)
    compare(theirs, zoo.load(folder))


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("GPTNeoXForCausalLM", {"rotary_pct": 0.5, "rotary_emb_base": 300}, (0.5, 300.0)),
        ("GPTNeoXForCausalLM", {}, (0.25, 10000.0)),
        ("PhiForCausalLM", {"partial_rotary_factor": 0.5, "rope_theta": 300.0}, (0.5, 300.0)),
        ("PhiForCausalLM", {}, (0.5, 10000.0)),
    ],
)
def test_the_part_that_is_turned_of_version_4(kind, old, new, tmp_path):
    sizes = {"partial_rotary_factor": new[0], "rope_theta": new[1], "rope_type": "default"}
    theirs = make(kind, rope_parameters=sizes)
    folder = write(theirs, tmp_path / "it")
    change(folder, drop=("rope_parameters",), **old)
    compare(theirs, zoo.load(folder))


def test_windows_of_version_4(tmp_path):
    options = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}
    theirs = make("Qwen2ForCausalLM", num_hidden_layers=3, **options)
    folder = write(theirs, tmp_path / "it")
    change(folder, drop=("layer_types",), **options)
    compare(theirs, zoo.load(folder))


#: What configs on the hub hold beside the options of their class, which no output depends on.
ON_THE_HUB = {
    "GPT2LMHeadModel": {
        "n_ctx": 64,
        "_num_labels": 1,
        "predict_special_tokens": True,
        "task_specific_params": {"a": {}},
    },
    "LlamaForCausalLM": {"is_llama_config": True, "rope_interleaved": False, "pretraining_tp": 1, "rope_scaling": None},
    "Qwen2ForCausalLM": {"use_mrope": False, "use_sliding_window": False, "sliding_window": 32, "max_window_layers": 1},
    "GemmaForCausalLM": {"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"},
    "GPTNeoXForCausalLM": {"attention_probs_dropout_prob": 0, "hidden_dropout_prob": 0},
    "BertForMaskedLM": {"gradient_checkpointing": False, "position_embedding_type": "absolute", "output_past": True}
    | {"directionality": "bidi", "pooler_type": "first_token_transform", "pooler_fc_size": 768, "xla_device": True},
}


@pytest.mark.parametrize(("kind", "values"), ON_THE_HUB.items(), ids=ON_THE_HUB)
def test_what_configs_on_the_hub_hold_besides(kind, values, tmp_path):
    theirs = make(kind)
    folder = write(theirs, tmp_path / "it")
    change(folder, use_bfloat16=False, torchscript=False, output_attentions=False, max_length=20, **values)
    compare(theirs, zoo.load(folder))


# ---- names of tensors of old ----------------------------------------------------------------------------------------------


def renamed(folder, change_state):
    state = change_state(load_file(folder / WEIGHTS))
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / WEIGHTS)
    return folder


def test_gpt2_without_its_first_word_and_with_masks(tmp_path):
    """As the hub's gpt2 is."""
    theirs = make("GPT2LMHeadModel")
    folder = renamed(
        write(theirs, tmp_path / "it"),
        lambda state: (
            {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
            | {f"h.{i}.attn.bias": torch.ones(1, 1, 64, 64) for i in range(2)}
        ),
    )
    compare(theirs, zoo.load(folder))


def test_bert_with_tensorflows_names_and_the_heads_of_its_training(tmp_path):
    """As the hub's bert-base-uncased is: LayerNorm.gamma, next-sentence head and pooler beside the masks' head."""
    theirs = make("BertForMaskedLM")

    def old(state):
        words = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        found = {}
        for name, tensor in state.items():
            for new, was in words.items():
                name = name.replace(new, was)
            found[name] = tensor
        more = {"cls.seq_relationship.weight": torch.ones(2, 32), "bert.pooler.dense.weight": torch.ones(32, 32)}
        return {**found, **more, "bert.embeddings.position_ids": torch.arange(64)[None]}

    compare(theirs, zoo.load(renamed(write(theirs, tmp_path / "it"), old)))


def test_a_head_that_is_tied_and_stands_there_too(tmp_path):
    theirs = make("GPT2LMHeadModel")
    folder = write(theirs, tmp_path / "it")
    renamed(folder, lambda state: {**state, "lm_head.weight": state["transformer.wte.weight"].clone()})
    compare(theirs, zoo.load(folder))
    renamed(folder, lambda state: {**state, "lm_head.weight": state["lm_head.weight"] + 1})
    with pytest.raises(zoo.ZooError, match="tie_word_embeddings"):
        zoo.load(folder)


def test_half_precision_stays(tmp_path):
    folder = write(make("LlamaForCausalLM").to(torch.bfloat16), tmp_path / "it")
    assert {p.dtype for p in zoo.load(folder).parameters()} == {torch.bfloat16}


# ---- beside the weights ----------------------------------------------------------------------------------------------------


def test_end_tokens_of_generation_config(tmp_path):
    folder = write(make("LlamaForCausalLM"), tmp_path / "it")
    assert zoo.load(folder).end_tokens == (2,)
    change(folder, "generation_config.json", eos_token_id=[7, 9, 7, V])
    assert zoo.load(folder).end_tokens == (7, 9)
    (folder / "generation_config.json").unlink()
    change(folder, eos_token_id=[3, 4])
    assert zoo.load(folder).end_tokens == (3, 4)
    assert zoo.load(zoo.save(zoo.load(folder), tmp_path / "ours")).end_tokens == (3, 4)


def test_the_tokenizer_and_its_roles(tmp_path):
    """tokenizer.json; what its tokens are for is said by tokenizer_config.json."""
    made = train_tokenizer("bpe", ["what a tokenizer learns from, once more and again"] * 3, 280)
    folder = write(make("LlamaForCausalLM", vocab_size=300), tmp_path / "it")
    made.save(folder)
    settings = {"bos_token": {"content": "<|pad|>"}, "eos_token": "<|mask|>", "model_max_length": 10**30}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    model = zoo.load(folder)
    assert model.tokenizer.encode("a tokenizer") == made.encode("a tokenizer")
    assert (model.tokenizer.bos, model.tokenizer.eos) == (made.pad, made.mask)
    again = zoo.load(zoo.save(model, tmp_path / "ours")).tokenizer
    assert again == model.tokenizer and (again.bos, again.eos, again.kind) == (made.pad, made.mask, "file")
    assert zoo.load(folder, tokenizer=Bytes()).tokenizer == Bytes()


def test_a_tokenizer_of_another_form_is_told(tmp_path, caplog):
    write(make("LlamaForCausalLM"), tmp_path)
    assert zoo.load(tmp_path).tokenizer is None and not caplog.records
    (tmp_path / "vocab.txt").write_text("x")
    assert zoo.load(tmp_path).tokenizer is None
    assert "has vocab.txt and no tokenizer.json" in caplog.text and "or give tokenizer=" in caplog.text


def test_a_model_with_room_for_more_tokens_writes_text(tmp_path, capsys):
    """As most released ones have: ids behind the tokenizer's stand for nothing."""
    folder = write(make("LlamaForCausalLM", vocab_size=400), tmp_path / "it")
    Bytes().save(folder)
    model = zoo.load(folder)
    how = {"seed": 1, "stop": [], "temperature": 3.0}
    ids = model.generate([model.tokenizer.prompt("a text")], 30, **how).ids[0]
    assert ids.max() >= 259
    said = zoo.generate(model, "a text", 30, **how)[0]
    assert said == model.tokenizer.decode([id for id in ids.tolist() if id < 259])
    assert "".join(zoo.generate(model, "a text", 30, stream=True, **how)) == said
    assert main(["predict", str(folder), "a text", "--top", "259", "--out", str(tmp_path)]) == 0


def test_tokenizers_of_every_kind_are_saved_with_the_model(tmp_path):
    text = ["what a tokenizer learns from, once more and again"] * 3
    for kind in ("byte", "char", "bpe", "wordpiece"):
        model = zoo.create_model("gpt_mini", vocab_size=300)
        model.tokenizer = train_tokenizer(kind, text, 280)
        again = zoo.load(zoo.save(model, tmp_path / kind)).tokenizer
        assert again == model.tokenizer and again.kind == kind
    assert isinstance(again, LibraryTokenizer)


def test_a_tokenizer_of_more_tokens_than_the_model_is_refused(tmp_path):
    folder = write(make("LlamaForCausalLM"), tmp_path / "it")
    with pytest.raises(zoo.ZooError, match="the tokenizer has 259 tokens and the model 61"):
        zoo.load(folder, tokenizer=Bytes())


def test_labels(tmp_path):
    names = {0: "no", 1: "yes", 2: "perhaps"}
    folder = write(make("BertForSequenceClassification", id2label=names), tmp_path / "it")
    assert zoo.load(folder).classes == ("no", "yes", "perhaps")
    change(folder, problem_type="multi_label_classification")
    assert zoo.load(folder).targets == "labels"


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertModel"])
def test_a_classifier_begins_where_a_bare_bert_ended(kind, tmp_path):
    """init=: with a pooler, the folder's where it has one, and a new head."""
    theirs = make(kind)
    model, changes = initialise(CONFIGS["bert_mini"], str(write(theirs, tmp_path / "it")), {"num_classes": 3})
    assert model(ids()).shape == (2, 3) and model.token_head is None and model.pooler is not None
    assert {"head.weight", "head.bias"} <= {change.name for change in changes if change.anew}
    if kind == "BertModel":
        assert torch.equal(model.pooler.weight, theirs.pooler.dense.weight)


# ---- refusals --------------------------------------------------------------------------------------------------------------

REFUSED = {
    "model_type='mixtral'": dict(model_type="mixtral", architectures=["MixtralForCausalLM"]),
    "LlamaForSequenceClassification": dict(architectures=["LlamaForSequenceClassification"]),
    "architectures=None": dict(architectures=None),
    "architectures=['LlamaForCausalLM', 'LlamaModel']": dict(architectures=["LlamaForCausalLM", "LlamaModel"]),
    "MistralForCausalLM (model_type='llama')": dict(architectures=["MistralForCausalLM"]),
    "rope_type='dynamic'": dict(rope_parameters={"rope_type": "dynamic", "factor": 2.0}),
    "rope_type='su'": dict(rope_parameters=None, rope_scaling={"type": "su", "factor": 2.0}),
    "rope_parameters.full_attention=": dict(rope_parameters={"full_attention": {"rope_type": "default"}}),
    "rope_parameters.factor=2.0 (rope_type default": dict(rope_parameters={"rope_type": "default", "factor": 2.0}),
    "rope_type=linear needs factor": dict(rope_parameters={"rope_type": "linear"}),
    "rope_parameters.factor=-1.0": dict(rope_parameters={"rope_type": "linear", "factor": -1.0}),
    "rope_parameters and rope_scaling, which differ": dict(rope_scaling={"type": "linear", "factor": 2.0}),
    "type says otherwise": dict(rope_parameters={"rope_type": "linear", "type": "yarn", "factor": 2.0}),
    "rope_theta=1.0, rope_theta beside it=2.0": dict(rope_parameters={"rope_theta": 1.0}, rope_theta=2.0),
    "partial_rotary_factor=0.5": dict(partial_rotary_factor=0.5),
    "quantization_config=": dict(quantization_config={"quant_method": "gptq"}),
    "auto_map=": dict(auto_map={"AutoModel": "modeling.Mine"}),
    "is_encoder_decoder=True": dict(is_encoder_decoder=True),
    "pruned_heads=": dict(pruned_heads={"0": [1]}),
    "sliding_window=8": dict(sliding_window=8),
    "something_new=True": dict(something_new=True),
    "hidden_act='gelu_10'": dict(hidden_act="gelu_10"),
}


@pytest.mark.parametrize("values", REFUSED.values(), ids=REFUSED)
def test_what_ours_has_not_is_refused_by_class_option_and_value(values, tmp_path, request):
    folder = write(make("LlamaForCausalLM"), tmp_path / "it")
    change(folder, **values)
    with pytest.raises(zoo.ZooError) as refusal:
        zoo.load(folder)
    said = request.node.callspec.id
    assert said in str(refusal.value) and CONFIG in str(refusal.value)


def test_every_key_of_every_config_is_read_or_known(tmp_path):
    """A value that is nothing like a key's own is noticed, whatever the key, or the key is known to be harmless."""
    from zoo.pretrained.transformers_families import config_of
    from zoo.pretrained.transformers_options import PASSED_OVER

    unread = {
        "id2label",
        "label2id",
        "problem_type",
        "classifier_dropout",
        "is_decoder",
    }  # of heads that these have not
    unread |= {f"summary_{what}" for what in ("type", "use_proj", "activation", "proj_to_labels", "first_dropout")}
    unread.add("architectures")  # the class is given below
    strange = {"what": ["is", "this"]}
    for kind in BY_NAME:
        content = json.loads(make(kind).config.to_json_string(use_diff=False))
        for key in content.keys() - PASSED_OVER - unread:
            with pytest.raises(zoo.ZooError):
                config_of({**content, key: strange}, kind, kind)
        config_of(content, kind, kind)


def test_defaults_are_transformers_own():
    """A config that says its sizes alone, and one that says all: the same model."""
    from zoo.pretrained.transformers_families import config_of

    for kind, theirs in BY_NAME.items():
        whole = json.loads(theirs.config_class(vocab_size=77).to_json_string(use_diff=False))
        bare = {"model_type": whole["model_type"], "vocab_size": 77}
        assert config_of(bare, kind, kind) == config_of(whole, kind, kind), kind


def test_sizes_are_the_configs(tmp_path):
    folder = write(make("LlamaForCausalLM"), tmp_path / "it")
    change(folder, num_hidden_layers=3)
    with pytest.raises(zoo.ZooError, match=r"blocks\.2"):
        zoo.load(folder)
    assert GATED["num_hidden_layers"] == 2
