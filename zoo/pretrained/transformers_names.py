"""Tensors of transformers under our names and in our shapes.

    {"self_attn.q_proj": "attn.projection.qkv:0", ...}      a module of theirs, in a layer -> ours; :0 is a part of a fused map

Parts of a fused map are 0 of q, 1 of k, 2 of v; layers are ours `blocks.*` where a name does not say another place.

What no table names keeps its name, so that it is refused as one too many (`zoo.checked.fits`); what transformers itself passes
over is dropped.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.pretrained import transformers_pairs
from zoo.pretrained.weights import State

log = logging.getLogger(__name__)
QKV = "attn.projection.qkv"
SEPARATE = {f"self_attn.{name}_proj": f"{QKV}:{i}" for i, name in enumerate("qkv")}
GATED = {
    **SEPARATE,
    "self_attn.o_proj": "attn.output.proj",
    "self_attn.q_norm": "attn.q_norm",
    "self_attn.k_norm": "attn.k_norm",
    **{f"mlp.{name}_proj": f"mlp.{name}" for name in ("gate", "up", "down")},
    "input_layernorm": "norm1",
    "post_attention_layernorm": "norm2",
}
LLAMA = {"embed_tokens": "embed", "norm": "norm", "lm_head": "head", "layers.*": GATED}
BERT_LAYER = {
    **{f"attention.self.{name}": f"{QKV}:{i}" for i, name in enumerate(("query", "key", "value"))},
    "attention.output.dense": "attn.output.proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "output.LayerNorm": "norm2",
}
BERT = {
    "embeddings.word_embeddings": "embed",
    "embeddings.position_embeddings": "position",
    "embeddings.token_type_embeddings": "segments",
    "embeddings.LayerNorm": "norm_pre",
    "encoder.layer.*": BERT_LAYER,
    "pooler.dense": "pooler",
    "classifier": "head",
    "cls.predictions.transform.dense": "token_head.transform",
    "cls.predictions.transform.LayerNorm": "token_head.norm",
    "cls.predictions.decoder": "token_head.decoder",
    "cls.predictions": "token_head.decoder",  # its bias stands there too
}
#: model_type -> the word before all names of the body, and the table
TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": (
        "transformer",
        {
            "wte": "embed",
            "wpe": "position",
            "ln_f": "norm",
            "lm_head": "head",
            "h.*": {
                "ln_1": "norm1", "attn.c_attn": QKV, "attn.c_proj": "attn.output.proj",
                "ln_2": "norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
            },
        },
    ),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma"), ("model", LLAMA)),
    "gpt_neox": (
        "gpt_neox",
        {
            "embed_in": "embed",
            "final_layer_norm": "norm",
            "embed_out": "head",
            "lm_head": "head",
            "layers.*": {
                "input_layernorm": "norm1", "attention.query_key_value": QKV, "attention.dense": "attn.output.proj",
                "post_attention_layernorm": "norm2", "mlp.dense_h_to_4h": "mlp.fc1", "mlp.dense_4h_to_h": "mlp.fc2",
            },
        },
    ),
    "phi": (
        "model",
        {
            "embed_tokens": "embed",
            "final_layernorm": "norm",
            "lm_head": "head",
            "layers.*": {
                **SEPARATE, "input_layernorm": "norm1", "self_attn.dense": "attn.output.proj", "mlp.fc1": "mlp.fc1",
                "mlp.fc2": "mlp.fc2", "self_attn.q_layernorm": "attn.q_norm", "self_attn.k_layernorm": "attn.k_norm",
            },
        },
    ),
    "bert": ("bert", BERT),
    **dict.fromkeys(transformers_pairs.FAMILIES, ("model", transformers_pairs.NAMES)),
}  # fmt: skip
#: class -> model_type
FAMILY = {
    "GPT2LMHeadModel": "gpt2", "LlamaForCausalLM": "llama", "MistralForCausalLM": "mistral", "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3", "GemmaForCausalLM": "gemma", "GPTNeoXForCausalLM": "gpt_neox", "PhiForCausalLM": "phi",
    **dict.fromkeys(("BertModel", "BertForMaskedLM", "BertForSequenceClassification"), "bert"),
    **{kind: family for family, (kind, _) in transformers_pairs.FAMILIES.items()},
}  # fmt: skip
CONV = ("c_attn", "c_proj", "c_fc")  # GPT-2's maps
#: What old versions wrote beside the weights: masks, angles, places; computed anew by all of them.
BUFFERS = re.compile(
    r"(.*\.)?(attn\.(bias|masked_bias)|attention\.(bias|masked_bias)|rotary_emb\.inv_freq|embeddings\.position_ids)"
)
#: Heads of other classes that a file may hold beside the model's own, and transformers passes over.
OTHERS = {
    "BertForMaskedLM": ("pooler.", "cls.seq_relationship."),
    "BertModel": ("cls.",),
    "BertForSequenceClassification": ("cls.",),
}
#: Of TensorFlow's BERT
OLD_ENDS = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def tensors_of(state: Mapping[str, Tensor], kind: str, config: Mapping[str, Any], where: str) -> State:
    """Tensors under our names.

    Args:
        state: by transformers' names, with or without the word before those of the body.
        kind: class.
        config: ours.
        where: what errors call the state.
    Raises: ZooError for a tensor that stands there twice with different numbers, or a part of a map that is missing.
    """
    family = FAMILY[kind]
    prefix, table = TABLES[family]
    state = transformers_pairs.prepared(state, config, where) if family in transformers_pairs.FAMILIES else state
    found: State = {}
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in state.items():
        short = name.removeprefix(f"{prefix}.")
        for old, new in OLD_ENDS.items():
            short = short.removesuffix(old) + new if family == "bert" and short.endswith(old) else short
        if BUFFERS.fullmatch(short):
            continue
        if short.startswith(OTHERS.get(kind, ("\0",))):
            log.info(f"{where}: {name} belongs to another class than {kind}, and is left out")
            continue
        module, _, own = short.rpartition(".")
        ours, _, part = (_renamed(module, table) or "").partition(":")
        if not ours:
            found[name] = tensor  # one too many
            continue
        into, key = (parts[f"{ours}.{own}"], part) if part else (found, _tensor(ours, own, config))
        tensor = tensor if part else _shaped(tensor, family, module, config)
        if key in into and not _same(into[key], tensor):
            if short == "cls.predictions.bias":  # an untied decoder has its own
                continue
            if short != "cls.predictions.decoder.bias" or config.get("tied", True):
                raise ZooError(f"{where}: {name} stands there under two names, with different numbers.")
        into[key] = tensor
    for name, some in parts.items():
        whole = range(1 if ".kv." in name else 0, 3)
        missing = ["qkv"[i] for i in whole if str(i) not in some]
        if missing or len({(each.shape[1:], each.dtype) for each in some.values()}) > 1:
            maps = " and ".join("qkv"[i] for i in whole)
            raise ZooError(
                f"{where}: {name} is made of the maps of {maps}, of which {', '.join(missing) or 'one'} "
                f"{'is missing' if missing else 'has another shape or type'}."
            )
        found[name] = torch.cat([some[str(i)] for i in whole])
    return _untwice(found, config, where)


def linear_names(model: Any) -> list[tuple[str, bool, list[tuple[str, int, int, int]]]] | None:
    """Each Linear (or Conv1D) of theirs in a model that was converted: (their name, whether it is a Conv1D, its pieces in the
    order of their rows: (our Linear's name, our first row, their first row, rows)). None for one that was not converted."""
    kind = getattr(model, "converted_from", None)
    if kind not in FAMILY:
        return None
    prefix, table = TABLES[FAMILY[kind]]
    heads, kv_heads = model.config["num_heads"], model.config.get("num_kv_heads") or model.config["num_heads"]
    width = model.config.get("head_dim") or model.config["dim"] // heads
    starts = {
        "0": (0, heads * width),
        "1": (heads * width, kv_heads * width),
        "2": ((heads + kv_heads) * width, kv_heads * width),
    }
    found = []
    depth = max(model.config["depth"], model.config.get("decoder_depth") or 0)
    for theirs, ours in _modules(table, depth):
        ours, _, part = ours.partition(":")
        try:
            own = model.get_submodule(ours)
        except AttributeError:
            continue
        if not hasattr(own, "out_features") or theirs in ("embed_out", "cls.predictions"):
            continue
        first, rows = starts[part] if part else (0, own.out_features)
        first -= starts["1"][0] if ".kv" in ours else 0  # keys come first there
        pieces = [(ours, first, 0, rows)]
        if theirs.endswith("query_key_value"):
            pieces = [
                (ours, part * heads * width + head * width, (3 * head + part) * width, width)
                for head in range(heads)
                for part in range(3)
            ]
        bare = kind == "BertModel" or theirs.split(".")[0] in ("lm_head", "classifier", "cls")
        found.append((theirs if bare else f"{prefix}.{theirs}", theirs.rpartition(".")[2] in CONV, pieces))
    return found


def _modules(table: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    for place, inside in table.items():
        if isinstance(inside, str):
            yield place, inside
            continue
        for i in range(depth):
            yield from ((f"{place.replace('*', str(i))}.{own}", _of_block(ours, i)) for own, ours in inside.items())


def _renamed(module: str, table: Mapping[str, Any]) -> str | None:
    if isinstance(ours := table.get(module), str):
        return ours
    for place, inside in table.items():
        pattern = re.escape(place).replace(r"\*", r"(0|[1-9]\d{0,4})") + r"\.(.+)"
        if isinstance(inside, dict) and (match := re.fullmatch(pattern, module)):
            own = inside.get(match[2])
            return own and _of_block(own, match[1])
    return None


def _of_block(ours: str, number: int | str) -> str:
    return ours.replace("*", str(number)) if "*" in ours else f"blocks.{number}.{ours}"


def _tensor(ours: str, own: str, config: Mapping[str, Any]) -> str:
    """Positions are a table; segments and all else are modules."""
    places = ours in ("position", "source_position") and own == "weight"
    return f"{ours}.table" if places else f"{ours}.{own}"


def _shaped(tensor: Tensor, family: str, module: str, config: Mapping[str, Any]) -> Tensor:
    """GPT-2's maps stand as [in, out]; GPT-NeoX's q, k and v stand head by head."""
    if family == "gpt2" and module.rpartition(".")[2] in CONV and tensor.ndim == 2:
        return tensor.T.contiguous()
    fused = family == "gpt_neox" and module.endswith("query_key_value") and tensor.ndim
    if fused and tensor.shape[0] == 3 * config["dim"]:
        return tensor.unflatten(0, (config["num_heads"], 3, -1)).transpose(0, 1).flatten(0, 2).contiguous()
    return tensor


def _untwice(found: State, config: Mapping[str, Any], where: str) -> State:
    """Of a tied head that stands there as well, the embedding alone, and of two sides' joint one. Raises: ZooError where they
    differ."""
    heads = (
        ("head.weight", "token_head.decoder.weight") if config.get("tied", True) and "num_classes" not in config else ()
    )
    for head in (*heads, *(["source_embed.weight"] if config.get("joint") else [])):
        if head in found and not _same(found[head], found.setdefault("embed.weight", found[head])):
            raise ZooError(f"{where}: the head is the embedding (tie_word_embeddings), and holds other numbers.")
        found.pop(head, None)
    return found


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and (a.data_ptr() == b.data_ptr() or torch.equal(a, b))
