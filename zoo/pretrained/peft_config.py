"""adapter_config.json of the peft library: what of it is LoRA as it is here; all else is refused by its key and value."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import ZooError

#: Keys that do not bear on what a loaded adapter computes. Which modules it has, the tensors say.
PASSED_OVER = (
    "auto_mapping", "base_model_name_or_path", "revision", "task_type", "inference_mode", "peft_version", "target_modules",
    "exclude_modules", "layers_to_transform", "layers_pattern", "fan_in_fan_out", "modules_to_save", "megatron_core",
    "qalora_group_size", "eva_config", "runtime_config", "peft_type", "lora_ga_config", "corda_config",
)  # fmt: skip
#: Keys that are read.
READ = ("r", "lora_alpha", "lora_dropout", "rank_pattern", "alpha_pattern", "use_rslora", "bias", "init_lora_weights")
#: Ways to start that leave the base as it is (pissa, olora, corda, loftq and lora_ga change it).
STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
PATTERNS, LETTERS = 2_000, 300


@dataclass(frozen=True)
class Settings:
    """rank, alpha: where no pattern matches. ranks, alphas: pattern of a module's name -> value. root: rslora, alpha / sqrt(r)
    in place of alpha / r (Kalajdzievski 2023)."""

    rank: int
    alpha: float
    dropout: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    root: bool

    @classmethod
    def of(cls, config: Any, where: str) -> "Settings":
        """Out of the content of the file. Raises: ZooError for another kind of adapter, named by key and value."""
        if not isinstance(config, dict) or "peft_type" not in config:
            raise ZooError(f"{where} is not a config of peft: it has no peft_type.")
        if config["peft_type"] != "LORA":
            raise ZooError(f"{where}: peft_type={_short(config['peft_type'])}; of peft's adapters LORA can be loaded.")
        for key, value in config.items():
            if key not in (*PASSED_OVER, *READ) and not _off(value):
                raise ZooError(f"{where}: {key[:80]}={_short(value)} is a kind of LoRA that is not known here.")
        if config.get("bias", "none") != "none":
            raise ZooError(
                f"{where}: bias={_short(config['bias'])} trains the base's biases; only bias=none can be loaded."
            )
        start = config.get("init_lora_weights", True)
        if not any(start is each or (isinstance(start, str) and start == each) for each in STARTS):
            raise ZooError(
                f"{where}: init_lora_weights={_short(start)} changes the base; convert the adapter to plain LoRA."
            )
        rank, alpha, rate = config.get("r", 8), config.get("lora_alpha", 8), config.get("lora_dropout", 0.0)
        root = config.get("use_rslora", False)
        right = {"r": _whole(rank), "lora_alpha": _positive(alpha), "use_rslora": isinstance(root, bool)}
        right["lora_dropout"] = isinstance(rate, int | float) and 0 <= rate < 1
        ranks, alphas = (_patterns(config.get(key) or {}, key, where) for key in ("rank_pattern", "alpha_pattern"))
        right["rank_pattern"], right["alpha_pattern"] = (
            all(map(_whole, ranks.values())),
            all(map(_positive, alphas.values())),
        )
        if wrong := [key for key, is_right in right.items() if not is_right]:
            raise ZooError(f"{where}: {wrong[0]}={_short(config[wrong[0]])} is out of range, or of another kind.")
        return cls(rank, float(alpha), float(rate), ranks, alphas, root)

    def rank_and_scale(self, module: str) -> tuple[int, float]:
        """Of a module of theirs."""
        rank, alpha = _first(self.ranks, module, self.rank), _first(self.alphas, module, self.alpha)
        return rank, alpha / (math.sqrt(rank) if self.root else rank)

    @staticmethod
    def is_adapter(name: str) -> bool:
        """Whether a tensor's name is one of an adapter's, not of a module kept whole."""
        return ".lora_" in name or ".base_layer." in name


def _first(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    """peft's rule: the first pattern that matches the end of the name, from a dot on."""
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), default)


def _patterns(given: Any, key: str, where: str) -> dict[str, Any]:
    """Regular expressions of a file: so few and so plain that none takes long (no repetition of what repeats)."""
    if not isinstance(given, dict) or len(given) > PATTERNS:
        raise ZooError(f"{where}: {key} is not a mapping of up to {PATTERNS} patterns.")
    for pattern in given:
        repeats = len(re.findall(r"(?<!\\)[*+{]", pattern))
        if len(pattern) > LETTERS or repeats > 2 or re.search(r"\)[*+{?]|\(\?|\\\d", pattern):
            raise ZooError(f"{where}: {key}: {pattern[:80]!r} is no plain pattern of a module's name.")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ZooError(f"{where}: {key}: {pattern[:80]!r} is no regular expression ({error}).") from None
    return given


def _off(value: Any) -> bool:
    return value is None or value is False or value == {} or value == []


def _whole(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 1e9


def _short(value: Any) -> str:
    return repr(value)[:80]
