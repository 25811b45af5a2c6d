"""A7, A8: folders of the Hugging Face hub's form and llama2.c's files, written by somebody who means ill, or cut off."""

import json
import os
import struct

import pytest
import torch
from safetensors.torch import save_file

import zoo
from tests.pretrained.llama2c_files import pieces, write, write_tokenizer
from zoo.pretrained import initialise
from zoo.text import Bytes

D, L, V = 8, 2, 300
CONFIG = {"_target_": "zoo.models.language.llama.Llama"}  # what the command line says; its sizes are the folder's
LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": V, "hidden_size": D, "intermediate_size": 12,
    "num_hidden_layers": L, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 32,
    "tie_word_embeddings": True, "eos_token_id": 2,
}  # fmt: skip
BERT = {
    "model_type": "bert", "architectures": ["BertForSequenceClassification"], "vocab_size": V, "hidden_size": D,
    "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32,
}  # fmt: skip


def tensors():
    names = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
    layer = dict(zip(names, ((D, D), (D // 2, D), (D // 2, D), (D, D)), strict=True))
    layer |= {"mlp.gate_proj": (12, D), "mlp.up_proj": (12, D), "mlp.down_proj": (D, 12)}
    layer |= dict.fromkeys(("input_layernorm", "post_attention_layernorm"), (D,))
    shapes = {f"model.layers.{i}.{name}.weight": shape for i in range(L) for name, shape in layer.items()}
    shapes |= {"model.embed_tokens.weight": (V, D), "model.norm.weight": (D,)}
    return {name: torch.ones(shape) for name, shape in shapes.items()}


@pytest.fixture
def folder(run):
    """A whole folder beside the run, which loads."""
    made = run.parent / "theirs"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(LLAMA))
    save_file(tensors(), made / "model.safetensors")
    Bytes().save(made)
    (made / "generation_config.json").write_text('{"eos_token_id": [2, 3]}')
    assert zoo.load(made).end_tokens == (2, 3)
    return made


DOORS = {
    "zoo.load": lambda run: zoo.load(run.parent / "theirs"),
    "init=": lambda run: initialise(CONFIG, str(run.parent / "theirs"), {}),
    "create_model(pretrained=)": lambda run: zoo.create_model("llama_mini", pretrained=str(run.parent / "theirs")),
}


@pytest.fixture(params=DOORS.values(), ids=DOORS)
def door(request):
    return request.param


def test_the_whole_folder_goes_through(folder, run):
    assert zoo.load(folder).tokenizer == Bytes()
    model, _ = initialise(CONFIG, str(folder), {})
    assert type(model).__name__ == "Llama" and model.tokenizer == Bytes() and model.end_tokens == (2, 3)


# ---- config.json -----------------------------------------------------------------------------------------------------------

HUGE = 10**9
NUMBERS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)
VALUES = (HUGE, 2**62, 10**30, 0, -1, 1.5, "8", True, [8], {"a": 8}, 1e308)


def test_sizes_that_cannot_be(folder, refused, door):
    for key in (*NUMBERS, "max_position_embeddings", "head_dim"):
        for value in VALUES:
            (folder / "config.json").write_text(json.dumps({**LLAMA, key: value}))
            assert "theirs" in refused(door), (key, value)


ODD = {
    "a word": {"hidden_act": ["silu"]},
    "no word": {"hidden_act": 3},
    "code as a word": {"hidden_act": "__import__('os').system('touch trace')"},
    "a class of Python": {"architectures": ["os.system"], "model_type": "llama"},
    "many classes": {"architectures": ["LlamaForCausalLM"] * 1000},
    "a class that is none": {"architectures": [["LlamaForCausalLM"]]},
    "a type that is none": {"model_type": {"_target_": "os.system"}},
    "code beside it": {"auto_map": {"AutoModelForCausalLM": "evil--modeling.Evil"}},
    "a name to build": {"_target_": "os.system", "command": "touch trace"},
    "an interpolation": {"something": "${oc.env:SECRET}"},
    "rope: a list": {"rope_parameters": [1]},
    "rope: a word": {"rope_scaling": "linear"},
    "rope: a word for a number": {"rope_parameters": {"rope_type": "linear", "factor": "4"}},
    "rope: true": {"rope_parameters": {"rope_type": "linear", "factor": True}},
    "rope: huge": {"rope_parameters": {"rope_type": "linear", "factor": 1e308}, "rope_theta": -1e308},
    "rope: zero": {"rope_theta": 0},
    "rope: one": {"rope_theta": 1},
    "rope: a type that is a list": {"rope_parameters": {"rope_type": ["linear"]}},
    "rope: many keys": {"rope_parameters": {f"key{i}": i for i in range(5000)}},
    "rope: no turns": {"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": -3}},
    "rope: llama3 the wrong way": {
        "rope_parameters": {"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 4.0, "high_freq_factor": 1.0}
    },
    "ends: a word": {"eos_token_id": "2"},
    "ends: deep": {"eos_token_id": [[2]]},
    "ends: endless": {"eos_token_id": list(range(100_000))},
    "tied: a word": {"tie_word_embeddings": "no"},
    "eps: a word": {"rms_norm_eps": "small"},
    "eps: below 0": {"rms_norm_eps": -1e-6},
    "eps: null": {"rms_norm_eps": None},
    "a rate of 2": {"attention_dropout": 2.0},
    "many unknown keys": {f"key{i}": [i] for i in range(5000)},
    "a key of odd letters": {"\x1b[2J\n" * 20: 3},
}  # fmt: skip


def test_options_that_cannot_be(folder, refused, door):
    (folder / "generation_config.json").unlink()
    for name, values in ODD.items():
        (folder / "config.json").write_text(json.dumps({**LLAMA, **values}))
        said = refused(door)
        assert "\x1b" not in said and not (folder.parent / "trace").exists(), name


LABELS = {
    "holes": {"id2label": {"0": "a", "5": "b"}},
    "no names": {"id2label": {"0": 1}},
    "a list": {"id2label": ["a"]},
    "empty": {"id2label": {}},
    "negative": {"num_labels": -1},
    "endless": {"num_labels": 10**9},
    "a word": {"num_labels": "2"},
    "another kind": {"problem_type": "telepathy"},
    "no word": {"problem_type": [1]},
    "a terminal's": {"id2label": {"0": "a", "1": "b" * 2000}},
}


def test_labels_that_cannot_be(folder, refused):
    for name, values in LABELS.items():
        (folder / "config.json").write_text(json.dumps({**BERT, **values}))
        assert "theirs" in refused(DOORS["zoo.load"]), name


# ---- weights ---------------------------------------------------------------------------------------------------------------


def index(folder, named, **more):
    """The weights as shards, under these names."""
    (folder / "model.safetensors").unlink(missing_ok=True)
    content = {"metadata": {"total_size": 10**18}, "weight_map": named, **more}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


def test_shards_elsewhere_or_otherwise(folder, refused, door):
    state = tensors()
    names = list(state)
    save_file(state, folder.parent / "outside.safetensors")
    save_file(state, folder / "all.safetensors")
    save_file({names[0]: state[names[0]]}, folder / "one.safetensors")
    absolute = str(folder.parent / "outside.safetensors")
    whole = dict.fromkeys(names, "all.safetensors")
    for named, words in (
        (dict.fromkeys(names, "../outside.safetensors"), "no .safetensors file beside it"),
        (dict.fromkeys(names, absolute), "no .safetensors file beside it"),
        (dict.fromkeys(names, "sub/all.safetensors"), "no .safetensors file beside it"),
        (dict.fromkeys(names, "all.bin"), "no .safetensors file beside it"),
        (dict.fromkeys(names, ".safetensors"), "no .safetensors file beside it"),
        (dict.fromkeys(names, "all\n.safetensors"), "no .safetensors file beside it"),
        (dict.fromkeys(names, "not_there.safetensors"), "not there"),
        ({**whole, names[0]: "one.safetensors"}, "holds, unsaid"),
        (dict.fromkeys(names[:-1], "all.safetensors"), "holds, unsaid"),
        ({**whole, "more": "all.safetensors"}, "does not hold more"),
        ({name: f"{i}.safetensors" for i, name in enumerate(f"name{i}" for i in range(20_000))}, "more than any model"),
        ({}, "no weight_map"),
        ([names], "no weight_map"),
        ({names[0]: ["all.safetensors"]}, "no weight_map"),
    ):
        index(folder, named)
        assert words in refused(door)
    (folder / "model.safetensors.index.json").write_text("[" * 100_000)
    assert "index.json" in refused(door)


def test_pickle_with_code_is_not_run(folder, refused, door):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {folder.parent / 'trace'}",)

    (folder / "model.safetensors").unlink()
    for content in ({"model.embed_tokens.weight": Evil()}, {**tensors(), "x": Evil()}, Evil()):
        torch.save(content, folder / "pytorch_model.bin")
        assert "pytorch_model.bin" in refused(door)
    assert not (folder.parent / "trace").exists()


def test_weights_that_are_none(folder, refused, door):
    whole = (folder / "model.safetensors").read_bytes()
    for content in (b"", whole[:100], whole[:-1], struct.pack("<Q", 2**60) + whole[8:], b"PK\3\4" + whole):
        (folder / "model.safetensors").write_bytes(content)
        assert "model.safetensors" in refused(door)
    (folder / "model.safetensors").unlink()
    assert "no weights" in refused(door)
    for content in ([1], {"a": 1}, {"model.norm.weight": "x"}, tensors()["model.norm.weight"]):
        torch.save(content, folder / "pytorch_model.bin")
        assert "pytorch_model.bin" in refused(door)
    (folder / "pytorch_model.bin").write_bytes(b"not a pickle")
    assert "pytorch_model.bin" in refused(door)


def test_numbers_that_are_shown_again_and_again(folder, refused):
    """Views of one storage, each of which would be copied into a map of its own."""
    (folder / "model.safetensors").unlink()
    one = torch.ones(2000, 2000)
    names = [f"model.layers.{i}.self_attn.{name}_proj.weight" for i in range(500) for name in "qkv"]
    torch.save({name: one.view(2000, 2000) for name in names}, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps({**LLAMA, "num_hidden_layers": 500}))
    assert "more than twice" in refused(DOORS["zoo.load"])


STRANGE = {
    "another name": {"model.layers.0.evil.weight": torch.ones(3)},
    "a layer too many": {"model.layers.2.input_layernorm.weight": torch.ones(D)},
    "a layer far away": {"model.layers.99999999999999999999.input_layernorm.weight": torch.ones(D)},
    "a name of odd letters": {"model.layers.0.\x1b[2J\nevil.weight": torch.ones(D)},
    "a long name": {"model." + "a" * 5000 + ".weight": torch.ones(D)},
    "another shape": {"model.norm.weight": torch.ones(D + 1)},
    "another kind": {"model.norm.weight": torch.ones(D, dtype=torch.int64)},
    "q of another shape": {"model.layers.0.self_attn.q_proj.weight": torch.ones(D, D + 1)},
    "q of another kind": {"model.layers.0.self_attn.q_proj.weight": torch.ones(D, D, dtype=torch.int32)},
    "a number for q": {"model.layers.0.self_attn.q_proj.weight": torch.tensor(1.0)},
    "twice": {"embed_tokens.weight": torch.zeros(V, D)},
    "q twice": {"layers.0.self_attn.q_proj.weight": torch.zeros(D, D)},
    "another head": {"lm_head.weight": torch.zeros(V, D)},
    "NaN": {"model.norm.weight": torch.full((D,), float("nan"))},
}


def test_tensors_that_do_not_belong(folder, refused):
    for name, more in STRANGE.items():
        save_file({**tensors(), **more}, folder / "model.safetensors")
        said = refused(DOORS["zoo.load"])
        assert "theirs" in said and "\x1b" not in said, name
    for left_out in ("model.norm.weight", "model.layers.1.self_attn.k_proj.weight", "model.embed_tokens.weight"):
        save_file(
            {name: tensor for name, tensor in tensors().items() if name != left_out}, folder / "model.safetensors"
        )
        refused(DOORS["zoo.load"])


# ---- beside the weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("generation_config.json", "[1]"),
        ("generation_config.json", '{"eos_token_id": "2"}'),
        ("generation_config.json", '{"eos_token_id": [[1]]}'),
        ("generation_config.json", "{" * 1000),
        ("tokenizer.json", ""),
        ("tokenizer.json", "[]"),
        ("tokenizer.json", "[" * 100_000),
        ("tokenizer.json", '{"kind": "bpe"}'),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {"a": 4294967296}, "merges": []}}'),
        ("tokenizer.json", '{"kind": "char", "characters": "' + "".join(map(chr, range(0x4E00, 0x5200))) + '"}'),
        ("tokenizer_config.json", "{" * 1000),
    ],
)
def test_files_beside_the_weights(folder, refused, file, content):
    (folder / file).write_text(content)
    assert "theirs" in refused(DOORS["zoo.load"])


def test_roles_that_are_none_are_passed_over(folder):
    """A token that the tokenizer has not is no role; transformers would add it to the vocabulary."""
    (folder / "tokenizer_config.json").write_text(
        '{"bos_token": "<none>", "eos_token": [1], "pad_token": {"content": 3}}'
    )
    assert zoo.load(folder).tokenizer == Bytes()


def test_roles_of_a_model_folder(folder, run, refused):
    """What our own config.json says of a tokenizer."""
    made = zoo.save(zoo.load(folder), run.parent / "made")
    (made / "card.json").unlink()  # it would name the file that was changed
    path = made / "config.json"
    whole = json.loads(path.read_text())
    wrong = (
        [],
        3,
        {"kind": 3},
        {"kind": "a b"},
        {"kind": "byte", "bos": "x"},
        {"kind": "byte", "eos": True},
        {"bos": 1},
    )
    for roles in wrong:
        path.write_text(json.dumps({**whole, "tokenizer": roles}))
        assert "config.json" in refused(lambda run: zoo.load(made)), roles
    path.write_text(json.dumps(whole))
    (made / "tokenizer.json").unlink()
    assert "tokenizer.json" in refused(lambda run: zoo.load(made))


# ---- llama2.c --------------------------------------------------------------------------------------------------------------


def test_headers_of_llama2c_at_random(run, refused):
    """Whatever seven numbers say: a sentence, at once, without memory for what is not there."""
    path = run.parent / "model.bin"
    write(path)
    whole = path.read_bytes()
    generator = torch.Generator().manual_seed(0)
    for i in range(200):
        numbers = torch.randint(-(2**31), 2**31, (8,), generator=generator) >> torch.randint(
            0, 31, (8,), generator=generator
        )
        at = 8 if i % 2 else 0
        start = whole[:at] + struct.pack("<8i", *numbers.tolist())
        path.write_bytes(start + whole[len(start) :])
        assert "model.bin" in refused(lambda run: zoo.load(path))


def test_tokenizers_of_llama2c_that_grow(run, refused):
    """Long pieces, each split of which is looked at: bounded."""
    path = write_tokenizer(
        run.parent / "tok.bin", [*pieces()[:259], *((chr(97 + i % 26) * 2000, 0.0) for i in range(50))]
    )
    write(run.parent / "model.bin", vocab=309)
    assert "2000 bytes" in refused(lambda run: zoo.load(run.parent / "model.bin", tokenizer=path))
    assert "tok.bin" in refused(lambda run: zoo.load(path))
