"""A language model as a folder that transformers' `from_pretrained` loads, and so vLLM: config.json, weights, tokenizer.

The way back of zoo.pretrained.from_transformers, by the same tables. A config of theirs is written with our sizes, what it
would be here (`config_of`) is held against the model, and whatever differs is refused by its name. Where each number goes is
read off the way here: numbers that say where they stand are sent through `tensors_of`.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from zoo.attention import Dot, RoPE
from zoo.errors import ZooError, one_line
from zoo.exports import tokenizers
from zoo.exports.alike import differing
from zoo.exports.compare import at, largest_difference
from zoo.exports.served import Tensors, Text, served
from zoo.models.language.bert import BERT
from zoo.models.language.decoder import Decoder
from zoo.pretrained.transformers_families import config_of
from zoo.pretrained.transformers_names import tensors_of
from zoo.pretrained.transformers_options import ACTS
from zoo.pretrained.weights import State, tensors

SUFFIXES, NEEDS, OPTIONS = (), (), ()
GREEDY = 16  # tokens that both say after the same ones


class Rows(Text):
    """ids without padding -> what transformers' classes give of them."""

    def __init__(self, model: Any):
        super().__init__(model)
        self.axes = {"ids": ("batch", "length")}

    def named(self, batch: Any) -> Tensors:
        return {"ids": batch.ids}

    def forward(self, ids: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {self.said: self.model(ids)}


def write(model: nn.Module, folder: Path) -> tuple[float, dict[str, str]]:
    """See `zoo.exports.export`. Raises: ZooError for another architecture, and naming what theirs has not."""
    kind, make = kind_of(model)
    dtype = next(model.parameters()).dtype
    model = in_halves(model.float())
    config = make(model)
    where = f"transformers' {kind}"
    _, wanted = config_of(json.loads(config.to_json_string(use_diff=False)), kind, where)
    pooled = {"add_pooling_layer": getattr(model, "pooler", None) is not None} if kind == "BertModel" else {}
    if pooled.get("add_pooling_layer"):
        wanted["pooler"] = True
    unread = frozenset() if model.num_classes else frozenset({"pool"})  # what a classifier would read
    if found := differing(model, wanted, but=unread, zeros=True):
        raise ZooError(f"{where} has no {', '.join(found)}: it is not exported there.")
    theirs = getattr(transformers, kind)(config, **pooled)
    fill(theirs, lambda state: tensors_of(state, kind, wanted, where), tensors(model))
    with quietly():
        return _written(model, theirs.to(dtype), folder)


def _written(model: Any, theirs: Any, folder: Path) -> tuple[float, dict[str, str]]:
    """Write model and tokenizer, read both back, compare."""
    ours, kind = model.tokenizer, type(theirs).__name__
    theirs.save_pretrained(folder)
    if ours is not None:
        inner = tokenizers.inner_of(ours)
        made = transformers.PreTrainedTokenizerFast(
            tokenizer_object=inner, model_max_length=model.context, clean_up_tokenization_spaces=False,
            **tokenizers.roles_of(ours, inner),
        )  # fmt: skip
        made.save_pretrained(folder)
    again = type(theirs).from_pretrained(folder, dtype=torch.float32).eval()
    graph = Rows(model)
    told = {"load it": f"transformers.{kind}.from_pretrained({str(folder.name)!r})", "compared at": at(graph)}
    worst = largest_difference(graph, lambda given: {graph.said: _output(again(given["ids"]))})
    if again.can_generate():
        told["greedy"] = f"the same {check_greedy(model, again)} tokens"
    told["tokenizer"] = "none: the model came without one"
    if ours is not None:
        tokenizers.check_same(ours, transformers.AutoTokenizer.from_pretrained(folder))
        told["tokenizer"] = f"{ours.kind}, {ours.vocab_size:,} tokens"
    return worst, told


def kind_of(model: Any) -> tuple[str, Callable[[Any], Any]]:
    """Their class, and what makes its config of our model. Raises: ZooError for models that are neither."""
    if isinstance(model, BERT):
        kind = "ForSequenceClassification" if model.num_classes else "ForMaskedLM" if model.token_head else "Model"
        return f"Bert{kind}", bert
    if isinstance(model, Decoder) and len(model.blocks):
        if isinstance(model.blocks[0].get_submodule("norm1"), nn.RMSNorm):
            return "LlamaForCausalLM", llama
        return "GPT2LMHeadModel", gpt2
    served(model)  # what no engine takes says so itself
    raise ZooError(
        f"class={type(model).__name__} is none of GPT, Llama and BERT, which transformers would be given; take onnx."
    )


# ---- configs of theirs


def gpt2(model: Any) -> Any:
    """GPT2Config with our sizes."""
    block = model.blocks[0]
    return transformers.GPT2Config(
        vocab_size=model.vocab_size, n_positions=model.context, n_embd=model.dim, n_layer=len(model.blocks),
        n_head=block.attn.num_heads, n_inner=_hidden(block), activation_function=_act(block),
        layer_norm_epsilon=block.norm1.eps, scale_attn_weights=not isinstance(block.attn.score, Dot),
        tie_word_embeddings=_tied(model), **_rates(model, "resid_pdrop", "attn_pdrop", "embd_pdrop"), **_roles(model),
    )  # fmt: skip


def llama(model: Any) -> Any:
    """LlamaConfig with our sizes."""
    block = model.blocks[0]
    attn, mlp, turned = block.attn, block.mlp, block.attn.position
    rope: Any = {"rope_type": "default", "rope_theta": getattr(turned, "base", 10000.0)}
    if (scaling := getattr(turned, "scaling", None)) is not None:
        given = {name: value for name, value in vars(scaling).items() if value is not None}
        rope |= {**given, "rope_type": scaling.kind}
    return transformers.LlamaConfig(
        vocab_size=model.vocab_size, max_position_embeddings=model.context, hidden_size=model.dim,
        num_hidden_layers=len(model.blocks), num_attention_heads=attn.num_heads, num_key_value_heads=attn.num_kv_heads,
        head_dim=attn.head_dim, intermediate_size=_hidden(block), hidden_act=_act(block), rms_norm_eps=block.norm1.eps,
        tie_word_embeddings=_tied(model), attention_bias=attn.projection.qkv.bias is not None, rope_parameters=rope,
        mlp_bias=getattr(getattr(mlp, "gate", None), "bias", None) is not None, **_rates(model, None, "attention_dropout"),
        **_roles(model),
    )  # fmt: skip


def bert(model: Any) -> Any:
    """BertConfig with our sizes."""
    block = model.blocks[0]
    names: dict[str, Any] = {}
    if model.num_classes:
        words = model.classes or [f"LABEL_{i}" for i in range(model.num_classes)]
        kinds = {
            "class": "single_label_classification",
            "labels": "multi_label_classification",
            "numbers": "regression",
        }
        names = {"id2label": dict(enumerate(words)), "label2id": {word: i for i, word in enumerate(words)}}
        names["problem_type"] = kinds.get(model.targets)
    return transformers.BertConfig(
        vocab_size=model.vocab_size, max_position_embeddings=model.context, hidden_size=model.dim,
        num_hidden_layers=len(model.blocks), num_attention_heads=block.attn.num_heads, intermediate_size=_hidden(block),
        hidden_act=_act(block), layer_norm_eps=block.norm1.eps, tie_word_embeddings=_tied(model),
        type_vocab_size=model.segments.num_embeddings if model.segments is not None else 1, **names,
        **_rates(model, "hidden_dropout_prob", "attention_probs_dropout_prob"), **_roles(model),
    )  # fmt: skip


def _hidden(block: Any) -> int:
    first = getattr(block.mlp, "fc1", None) or getattr(block.mlp, "gate", None)
    if first is None:
        raise ZooError(
            f"blocks.*.mlp={type(block.mlp).__name__} is a feed-forward that transformers' classes have not."
        )
    return first.out_features


def _act(block: Any) -> str:
    act, tanh = block.mlp.act, getattr(block.mlp.act, "approximate", "none")
    for name, node in ACTS.items():
        if node["_target_"].rpartition(".")[2] == type(act).__name__ and node.get("approximate", "none") == tanh:
            return name
    raise ZooError(f"blocks.*.mlp.act={type(act).__name__} is an activation that transformers does not name.")


def _tied(model: Any) -> bool:
    head = getattr(model.token_head, "decoder", None) if isinstance(model, BERT) else model.head
    return getattr(head, "weight", None) is model.embed.weight or head is None


def _rates(model: Any, *names: str | None) -> dict[str, Any]:
    """Rates of dropout, by their names."""
    config = model.config or {}
    dropout = config.get("dropout") or 0.0
    embedded = config.get("embed_dropout")
    rates = (dropout, config.get("attn_dropout") or 0.0, dropout if embedded is None else embedded)
    return {name: rate for name, rate in zip(names, rates, strict=False) if name is not None}


def _roles(model: Any) -> dict[str, Any]:
    """Ids that begin, end and fill up a text, None where nobody says: their classes' own numbers mean other tokens."""
    tokenizer, ends = model.tokenizer, model.end_tokens
    eos = None if not ends else ends[0] if len(ends) == 1 else list(ends)
    return {
        "bos_token_id": getattr(tokenizer, "bos", None),
        "eos_token_id": eos,
        "pad_token_id": getattr(tokenizer, "pad", None),
    }


# ---- tensors


def in_halves(model: Any) -> Any:
    """The model with heads that RoPE turns as two halves, not pair by pair: the rows of q and k in another order, in place."""
    for attn in [each for each in model.modules() if isinstance(getattr(each, "position", None), RoPE)]:
        if attn.position.halves:
            continue
        width, size = attn.position.width, attn.head_dim
        order = torch.cat([torch.arange(0, width, 2), torch.arange(1, width, 2), torch.arange(width, size)])
        turned = attn.num_heads + attn.num_kv_heads  # heads of q and k; v is not turned
        rows = torch.arange((turned + attn.num_kv_heads) * size).view(-1, size)
        rows[:turned] = rows[:turned, order]
        with torch.no_grad():
            for tensor in attn.projection.qkv.parameters():
                tensor.copy_(tensor[rows.flatten()].clone())
            for norm in filter(None, (attn.q_norm, attn.k_norm)):
                for tensor in norm.parameters():
                    tensor.copy_(tensor[order].clone())
        attn.position.halves = True
    return model


@torch.no_grad()
def fill(theirs: nn.Module, tensors_here: Callable[[State], State], ours: State) -> None:
    """Copy our tensors into theirs, against the way that `tensors_here` goes; a bias that ours has not is zeros there.

    Raises: ZooError where a tensor has no place.
    """
    state, starts, total = theirs.state_dict(), {}, 0
    for tensor in state.values():
        if tensor.data_ptr() not in starts:
            starts[tensor.data_ptr()] = total
            total += tensor.numel()
    where = {
        name: starts[each.data_ptr()] + torch.arange(each.numel()).view(each.shape) for name, each in state.items()
    }
    found = tensors_here(where)
    ours = {name: torch.zeros(places.shape) for name, places in found.items() if name.endswith(".bias")} | ours
    if wrong := sorted(found.keys() ^ ours.keys()):
        raise ZooError(
            f"{type(theirs).__name__} has no place for {one_line(', '.join(wrong), 300)}, or we none for it."
        )
    numbers = torch.full((total,), torch.nan)
    for name, places in found.items():
        numbers[places.flatten()] = ours[name].flatten()
    for name, tensor in state.items():
        tensor.copy_(numbers[where[name]])


def check_greedy(model: Any, theirs: Any) -> int:
    """Tokens that both say after the same ones, the likeliest each time. Raises: ZooError where they differ."""
    ids = Rows(model).draw({"rows": 1, "tokens": max(1, min(5, model.context - GREEDY))})["ids"]
    count = min(GREEDY, model.context - ids.shape[1])
    how = dict(max_new_tokens=count, min_new_tokens=count, do_sample=False, pad_token_id=0)
    said = theirs.generate(ids, attention_mask=torch.ones_like(ids), eos_token_id=None, **how)[0].tolist()
    with torch.no_grad():
        for _ in range(count):
            ids = torch.cat([ids, model(ids)[:, -1:].argmax(-1)], 1)
    if said != ids[0].tolist():
        raise ZooError(f"{type(theirs).__name__} goes on with {said}, and ours with {ids[0].tolist()}: it is not kept.")
    return count


@contextmanager
def quietly() -> Iterator[None]:
    """Without the progress bars of transformers, and what it says of lengths and missing heads."""
    logs = transformers.utils.logging
    level, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()


def _output(said: Any) -> Tensor:
    return said.logits if hasattr(said, "logits") else said.last_hidden_state
