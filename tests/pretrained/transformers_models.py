"""Tiny models of transformers, random, with every option that is converted; imported once for all tests."""

import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

V = 61
#: of the classes that came of Llama
GATED = dict(
    vocab_size=V, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)  # fmt: skip
PLAIN = {key: value for key, value in GATED.items() if key != "num_key_value_heads"}
GPT2 = dict(vocab_size=V, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2)
BERT = {**PLAIN, "eos_token_id": None}
#: class -> (class of its config, sizes)
KINDS = {
    GPT2LMHeadModel: (GPT2Config, GPT2),
    LlamaForCausalLM: (LlamaConfig, GATED),
    MistralForCausalLM: (MistralConfig, GATED),
    Qwen2ForCausalLM: (Qwen2Config, GATED),
    Qwen3ForCausalLM: (Qwen3Config, {**GATED, "head_dim": 12}),
    GemmaForCausalLM: (GemmaConfig, {**GATED, "head_dim": 12}),
    GPTNeoXForCausalLM: (GPTNeoXConfig, PLAIN),
    PhiForCausalLM: (PhiConfig, GATED),
    BertModel: (BertConfig, BERT),
    BertForMaskedLM: (BertConfig, BERT),
    BertForSequenceClassification: (BertConfig, BERT),
}
BY_NAME = {kind.__name__: kind for kind in KINDS}


def make(kind: str, seed: int = 0, **options) -> nn.Module:
    """A model of transformers with random numbers in every parameter, in eval mode; options change the tiny config."""
    config, sizes = KINDS[BY_NAME[kind]]
    settings = {name: options.pop(name) for name in ("add_pooling_layer",) if name in options}
    model = BY_NAME[kind](config(**{**sizes, **options}), **settings).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            matrix = parameter.ndim > 1 and "embed" not in name and "wte" not in name and "wpe" not in name
            scale = parameter[0].numel() ** -0.5 if matrix else 0.5
            gain = name.endswith("weight") and parameter.ndim == 1 and kind != "GemmaForCausalLM"  # of a norm
            parameter.copy_(noise * scale + gain)
    return model


def ids(shape=(2, 40), vocab_size=V, seed=1) -> torch.Tensor:
    """Random ids, above those of special tokens."""
    return torch.randint(3, vocab_size, shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def outputs(model, tokens, **how) -> torch.Tensor:
    """Logits, or hidden states with what is pooled behind them."""
    out = model(tokens, **how)
    if hasattr(out, "logits"):
        return out.logits
    pooled = getattr(out, "pooler_output", None)
    return out.last_hidden_state if pooled is None else torch.cat([out.last_hidden_state, pooled[:, None]], 1)


@torch.no_grad()
def ours_of(model, tokens, pooled=False, **how) -> torch.Tensor:
    """The same of ours."""
    out = model(tokens, **how)
    return torch.cat([out, model.pooled(out)[:, None]], 1) if pooled else out


def greedy(model, tokens, n) -> list:
    """n tokens, each the likeliest; of whole sequences, without a cache."""
    for _ in range(n):
        logits = outputs(model, tokens) if hasattr(model, "generation_config") else ours_of(model, tokens)
        tokens = torch.cat([tokens, logits[:, -1:].argmax(-1)], 1)
    return tokens.tolist()
