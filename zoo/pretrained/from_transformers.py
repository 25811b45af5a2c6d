"""transformers' language models and encoder-decoders as ours: the classes that are registered below.

Nothing is taken on trust: each key of the config is read or refused, tensors must match name by name, and at the end both
models see the same tokens.
"""

import json
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    BartForConditionalGeneration,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    GemmaForCausalLM,
    GPT2LMHeadModel,
    GPTNeoXForCausalLM,
    LlamaForCausalLM,
    MarianMTModel,
    MistralForCausalLM,
    PhiForCausalLM,
    Qwen2ForCausalLM,
    Qwen3ForCausalLM,
)

from zoo.errors import ZooError
from zoo.pretrained.convert import convert
from zoo.pretrained.rebuild import rebuild
from zoo.pretrained.transformers_bert import labels, with_pooler
from zoo.pretrained.transformers_families import config_of, generation
from zoo.pretrained.transformers_names import tensors_of
from zoo.pretrained.weights import State

TOKENS = 24  # that both models see at the end


@convert.register(BartForConditionalGeneration)
@convert.register(BertForMaskedLM)
@convert.register(BertForSequenceClassification)
@convert.register(BertModel)
@convert.register(GemmaForCausalLM)
@convert.register(GPT2LMHeadModel)
@convert.register(GPTNeoXForCausalLM)
@convert.register(LlamaForCausalLM)
@convert.register(MarianMTModel)
@convert.register(MistralForCausalLM)
@convert.register(PhiForCausalLM)
@convert.register(Qwen2ForCausalLM)
@convert.register(Qwen3ForCausalLM)
def from_transformers(model: Any) -> nn.Module:
    """A model of transformers -> GPT, Llama, Decoder, BERT or Transformer2017, see `zoo.convert`.

    Raises: ZooError naming the class, or each option and value that ours does not have.
    """
    kind, where = type(model).__name__, f"this {type(model).__name__}"
    if not type(model).__module__.startswith("transformers.models."):
        raise ZooError(f"class={type(model).__module__}.{kind} is somebody's own, and may compute something else.")
    theirs = json.loads(model.config.to_json_string(use_diff=False))
    _, config = config_of(theirs, kind, where)
    if (settings := getattr(model, "generation_config", None)) is not None:
        config |= generation(settings.to_dict(), config, where)

    def tensors(each: Any) -> State:
        return tensors_of(each.state_dict(), kind, config, where)

    config = with_pooler(kind, config, tensors(model))
    ours: Any = rebuild(_wide(model), config, tensors, _show(config), kind).to(next(model.parameters()).dtype)
    ours.classes, ours.targets = labels(theirs, config, where)
    ours.converted_from = kind
    return ours


def _wide(model: Any) -> Any:
    """The model in float32 or wider. Its angles are made anew: `model.to(torch.bfloat16)` rounds them as well, which no
    training has seen (C8)."""
    dtype = next(model.parameters()).dtype
    if torch.promote_types(dtype, torch.float32) == dtype:
        return model
    model = deepcopy(model).float()
    for module in [module for module in model.modules() if hasattr(module, "rotary_emb")]:
        module.rotary_emb = type(module.rotary_emb)(model.config).to(next(model.parameters()).device)
    return model


def _show(config: dict[str, Any]) -> Any:
    """Shows a model some tokens; gives logits, or hidden states and what is pooled of them."""
    if "target_vocab" in config:
        return _show_pairs(config)
    length = min(config["context"], TOKENS)
    ids = torch.randint(config["vocab_size"], (2, length), generator=torch.Generator().manual_seed(0))

    def show(model: Any, like: Tensor) -> Tensor:
        given = ids.to(like.device)
        out = model(given)
        if isinstance(out, Tensor):  # ours
            pooled = model.pooled(out) if config.get("pooler") and not config.get("num_classes") else None
        else:
            pooled = getattr(out, "pooler_output", None)
            out = out.logits if hasattr(out, "logits") else out.last_hidden_state
        return out if pooled is None else torch.cat([out, pooled.unsqueeze(1)], 1)

    return show


def _show_pairs(config: dict[str, Any]) -> Any:
    """Shows a model two source sentences, one of which is padded, and their targets."""
    length, draw = min(config["position"].get("length", TOKENS), TOKENS), torch.Generator().manual_seed(0)
    source, target = (
        torch.randint(config[f"{side}_vocab"], (2, length), generator=draw) for side in ("source", "target")
    )
    lengths = torch.tensor([length, max(1, length // 2)])

    def show(model: Any, like: Tensor) -> Tensor:
        given = [each.to(like.device) for each in (source, target, lengths)]
        if not hasattr(model, "final_logits_bias"):
            return model(*given)
        mask = torch.arange(length, device=like.device) < given[2][:, None]
        return model(input_ids=given[0], attention_mask=mask.long(), decoder_input_ids=given[1]).logits

    return show
