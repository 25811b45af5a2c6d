"""The options of a model of transformers, as its config.json or `config.to_dict()` says them: each is read, or refused by name.

Nothing here imports transformers. What no reader asked for is refused by key and value, unless it stands in HARMLESS.
"""

import math
from collections.abc import Mapping
from typing import Any

from zoo.errors import ZooError, one_line, printable

#: Keys that are passed over, each group with the reason why no output depends on it.
HARMLESS: dict[str, tuple[str, ...]] = {
    "who made it, and with what": (
        "_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "tokenizer_class", "processor_class",
        "task_specific_params", "finetuning_task", "prefix", "unsloth_version", "unsloth_fixed",
        "is_llama_config", "transformers.js_config",
    ),
    "what a call returns beside the output, or keeps for the next": (
        "return_dict", "output_hidden_states", "output_attentions", "tie_last_hidden_states", "torchscript",
        "use_cache", "output_past",
    ),
    "how it is computed: other rounding at most": (
        "attn_implementation", "_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal",
        "experts_implementation", "_experts_implementation_internal", "reorder_and_upcast_attn", "chunk_size_feed_forward",
        "pretraining_tp", "use_flash_attention_2", "_flash_attn_2_enabled", "xla_device",
    ),
    "the type of the weights, which say it themselves": ("dtype", "torch_dtype", "use_bfloat16"),
    "how training starts or saves memory": ("initializer_range", "gradient_checkpointing", "tf_legacy_loss"),
    "how weights are spread over devices": (
        "base_model_tp_plan", "base_model_pp_plan", "base_model_fsdp_plan", "base_model_ep_plan",
    ),
    "defaults of transformers' generate, of which generation_config.json's end tokens alone are taken": (
        "max_length", "min_length", "max_new_tokens", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
        "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty",
        "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "output_scores",
        "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
        "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens", "decoder_start_token_id",
        "cache_implementation", "eos_token_ids",
    ),
    "tokens that no layer looks at (the row of a padding token only keeps its gradient)": (
        "pad_token_id", "bos_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "unk_token_id",
    ),
}  # fmt: skip
#: Keys that may be there, as long as they are off: what else they say changes the model.
OFF: dict[str, tuple[Any, ...]] = {
    "is_encoder_decoder": (False, None),
    "add_cross_attention": (False, None),
    "cross_attention_hidden_size": (None,),
    "tie_encoder_decoder": (False, None),
    "pruned_heads": ({}, None),
    "use_mrope": (False, None),
    "rope_interleaved": (False, None),
    "per_layer_config": ({}, None),
    "quantization_config": (None,),
    "auto_map": ({}, None),  # code of its own
}
PASSED_OVER = frozenset(key for keys in HARMLESS.values() for key in keys)
MISSING = object()
LAYERS = 10_000  # more than any model has
SHOWN = 8


class Options:
    """A config that knows which of its keys were read.

    Args:
        config: plain, of transformers 4 or 5.
        where: what errors call its file, or the model that it is of.
    """

    def __init__(self, config: Mapping[str, Any], where: str):
        self.config, self.where = config, where
        self.read: set[str] = set()
        self.refused: list[str] = []

    def take(self, key: str, default: Any = MISSING) -> Any:
        """A key's value as it stands, read from now on; `default` where it is not there. Raises: ZooError without both."""
        self.read.add(key)
        value = self.config.get(key, default)
        if value is MISSING:
            raise ZooError(f"{self.where} does not say its {key}, which the model is built from.")
        return value

    def whole(self, key: str, default: Any = MISSING, null: bool = False) -> Any:
        """A whole number above 0, or the default (which may be None); None where `null` allows it."""
        value = self.take(key, default)
        if value is not default and not (null and value is None) and (type(value) is not int or value < 1):
            raise ZooError(f"{self.where}: {key}={_short(value)} is not a whole number above 0.")
        return value

    def number(self, key: str, default: Any = MISSING, most: float = math.inf) -> Any:
        """A finite number from 0 to `most`, as a float; or the default."""
        value = self.take(key, default)
        found = default if value is default else number(value, key, self.where)
        if found is not None and not 0 <= found <= most:
            raise ZooError(
                f"{self.where}: {key}={value} is not a number from 0 on{'' if most == math.inf else f' to {most}'}."
            )
        return found

    def rate(self, key: str, default: float = 0.0) -> float:
        """A rate of dropout; null counts as 0."""
        return 0.0 if self.take(key, default) is None else self.number(key, default, most=1.0)

    def flag(self, key: str, default: bool) -> bool:
        """True or false; null counts as the default."""
        value = self.take(key, default)
        if value is not None and type(value) is not bool:
            raise ZooError(f"{self.where}: {key}={_short(value)} is neither true nor false.")
        return default if value is None else value

    def refuse(self, key: str, value: Any, why: str = "") -> None:
        """Remember an option that ours does not have; `finish` raises for all of them."""
        self.refused.append(f"{printable(one_line(key, 80))}={_short(value)}{why and f' ({why})'}")

    def only(self, key: str, *allowed: Any) -> None:
        """Refuse a key that is there with another value."""
        value = self.take(key, allowed[0])
        if not any(type(value) is type(each) and value == each for each in allowed):
            self.refuse(key, value)

    def passed_over(self, *keys: str) -> None:
        """Keys that mean nothing to this class."""
        self.read.update(keys)

    def finish(self, kind: str) -> None:
        """Raise ZooError for each option that was refused, or that nobody read."""
        for key in OFF.keys() - self.read:
            self.only(key, *OFF[key])
        for key in self.config.keys() - self.read - PASSED_OVER:
            self.refuse(key, self.config[key])
        if self.refused:
            more = f" and {len(self.refused) - SHOWN} more" if len(self.refused) > SHOWN else ""
            raise ZooError(
                f"{self.where}: {kind} with {', '.join(sorted(self.refused)[:SHOWN])}{more} is another function than zoo's "
                "models compute, or may be: it is not converted."
            )


def part(target: str, **settings: Any) -> dict[str, Any]:
    """A factory of a part, as a node of a config."""
    return {"_target_": target, "_partial_": True, **settings}


def number(value: Any, key: str, where: str) -> float:
    """The value as a float. Raises: ZooError where it is no finite number."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ZooError(f"{where}: {key}={_short(value)} is not a number.")
    return float(value)


TANH = {"_target_": "torch.nn.GELU", "approximate": "tanh"}
#: transformers' names of activations
ACTS: dict[str, dict[str, Any]] = {
    "gelu": {"_target_": "torch.nn.GELU"},
    "gelu_python": {"_target_": "torch.nn.GELU"},
    "gelu_new": TANH,
    "gelu_pytorch_tanh": TANH,
    "gelu_fast": TANH,
    "gelu_python_tanh": TANH,
    "quick_gelu": {"_target_": "zoo.layers.QuickGELU"},
    "silu": {"_target_": "torch.nn.SiLU"},
    "swish": {"_target_": "torch.nn.SiLU"},
    "relu": {"_target_": "torch.nn.ReLU"},
    "relu6": {"_target_": "torch.nn.ReLU6"},
    "leaky_relu": {"_target_": "torch.nn.LeakyReLU"},
    "mish": {"_target_": "torch.nn.Mish"},
    "gelu_accurate": TANH,
    "hardswish": {"_target_": "torch.nn.Hardswish"},
    "linear": {"_target_": "torch.nn.Identity"},
    "laplace": {"_target_": "zoo.layers.activations.Laplace"},
    "relu2": {"_target_": "zoo.layers.activations.ReLUSquared"},
    "sqrtsoftplus": {"_target_": "zoo.layers.activations.SqrtSoftplus"},
    "tanh": {"_target_": "torch.nn.Tanh"},
    "sigmoid": {"_target_": "torch.nn.Sigmoid"},
}


def act(o: Options, key: str, default: str) -> dict[str, Any]:
    """The activation that a key names, as a node of a config."""
    name = o.take(key, default)
    if not isinstance(name, str) or name not in ACTS:
        o.refuse(key, name)
        name = default
    return {**ACTS[name], "_partial_": True}


def _short(value: Any) -> str:
    return one_line(repr(value), 80)
