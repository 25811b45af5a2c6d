"""The same work for zoo and for transformers: language models with the same weights, and the calls that are timed."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import zoo
from benchmarks.timing import finished

Call = Callable[[], Any]
PROMPT, NEW = 8, 64  # tokens of a prompt, and of what is generated
UNEQUAL = (3, 8, 5, 21, 13, 2, 17, 10)  # tokens of the prompts of a batch of 8
TRAINED = 256  # tokens of a row of a training step


def theirs(name: str, **sizes: int) -> Any:
    """transformers' model of a name, with random weights, that never ends a text and drops nothing out.

    Args:
        name: "gpt2" or "llama_15m" (llama2.c's).
        sizes: of its config, in place of the published ones.
    """
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    if name == "gpt2":
        rates = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
        model: Any = GPT2LMHeadModel(GPT2Config(**{**rates, **sizes}))
    else:
        published = dict(vocab_size=32000, hidden_size=288, intermediate_size=768, num_hidden_layers=6)
        published |= dict(num_attention_heads=6, max_position_embeddings=8192)
        model = LlamaForCausalLM(LlamaConfig(**{**published, "tie_word_embeddings": True, **sizes}))
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model.eval()


def trio(name: str, **sizes: int) -> dict[str, Any]:
    """transformers' model, a second copy of it, and ours with the same weights; `zoo.convert` compares the logits."""
    model = theirs(name, **sizes)
    return {"zoo": zoo.convert(model).eval(), "hf": model, "copy": copy.deepcopy(model)}


def prompts(vocab_size: int, batch: int) -> tuple[Tensor, Tensor]:
    """Random ids [B, N] padded on the left, and the mask [B, N]; of a batch of one without padding."""
    lengths = torch.tensor([PROMPT] if batch == 1 else [UNEQUAL[i % len(UNEQUAL)] for i in range(batch)])
    longest = int(lengths.max())
    mask = torch.arange(longest) >= longest - lengths[:, None]
    ids = torch.randint(vocab_size, mask.shape, generator=torch.Generator().manual_seed(1))
    return ids * mask, mask


def greedy_of_theirs(model: Any, ids: Tensor, mask: Tensor, new: int) -> Call:
    """transformers' generate: the likeliest tokens, its own cache; what is new of them."""

    @torch.inference_mode()
    def call() -> Tensor:
        made = model.generate(ids, attention_mask=mask.long(), max_new_tokens=new, do_sample=False)
        return finished(made[:, ids.shape[1] :])

    return call


def greedy(model: Any, ids: Tensor, mask: Tensor, new: int, compiled: bool = False) -> Call:
    """Ours: the likeliest tokens, the full cache."""

    def call() -> Tensor:
        return finished(model.generate(ids, new, mask=mask, temperature=0, stop=[], compile=compiled).ids)

    return call


def read_a_token(model: nn.Module) -> int:
    """Bytes of the weights that are read for one token: all but tables of which it looks up a row."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    tables -= {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}  # a tied head reads it
    known = {id(each): each for each in (*model.parameters(), *model.buffers())}
    places = {id(each) for name, each in model.named_parameters() if name.startswith("position.")}
    return sum(each.numel() * each.element_size() for key, each in known.items() if key not in tables | places)


def one_row_product(megabytes: int = 256, dtype: torch.dtype = torch.float32) -> tuple[Call, int]:
    """A product of one row with a matrix that no cache holds, as a step does them; and the bytes of the matrix."""
    inner = 4096
    matrix = torch.randn(max(megabytes * 2**20 // (4 * inner), 1), inner).to(dtype)
    x = torch.randn(1, inner).to(dtype)

    @torch.inference_mode()
    def call() -> Tensor:
        return F.linear(x, matrix)

    return call, matrix.numel() * matrix.element_size()


def training_step(model: Any, ids: Tensor) -> Call:
    """Forward, cross-entropy of the next token, backward, AdamW (fused), gradients to None."""
    model = model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-7, fused=True)

    def call() -> None:
        out = model(ids)
        logits = out if isinstance(out, Tensor) else out.logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        finished(loss)

    return call


def training_flops(model: Any, ids: Tensor) -> int:
    """Floating point operations of the matrix products of one step."""
    with FlopCounterMode(display=False) as counter:
        model(ids).logits.sum().backward()
    model.zero_grad()
    return counter.get_total_flops()
