"""A folder of timm's hub: config.json says the architecture, its options, and how images were prepared; weights lie beside.

Of the config what describes is read, each key by its kind and range; where it says that weights lie elsewhere (url, file,
hf_hub_id), or are loaded in a way of their own (custom_load), is never looked at (docs/criteria.md, A8).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from zoo.checked.texts import read_json
from zoo.errors import ZooError, one_line
from zoo.pretrained import facts
from zoo.pretrained.hugging_face import weights_file

CONFIG = "config.json"
NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,99}", re.ASCII)
LARGEST = 16_384  # of a whole number: widths, pixels, classes beside
CLASSES = 200_000


def _size(value: Any) -> bool:
    return type(value) is int and 0 < value <= LARGEST


def _sizes(value: Any) -> bool:
    return _size(value) or (isinstance(value, list) and len(value) == 2 and all(map(_size, value)))


def _rate(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


def _number(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 1e6


def _word(value: Any) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def _flag(value: Any) -> bool:
    return type(value) is bool


def _classes(value: Any) -> bool:
    return type(value) is int and 0 <= value <= CLASSES


def _three(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_size, value))


def _channels(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= LARGEST and all(type(each) in (int, float) for each in value)


#: Options of timm's architectures that a folder may set: what they may be.
OPTIONS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("img_size", "patch_size"), _sizes),
    **dict.fromkeys(("in_chans", "embed_dim", "depth", "num_heads"), _size),
    **dict.fromkeys(("act_layer", "norm_layer"), _word),  # of timm's own lists
    "num_classes": _classes,
    "reg_tokens": lambda value: type(value) is int and 0 <= value <= LARGEST,
    **dict.fromkeys(("mlp_ratio", "init_values"), _number),
    **dict.fromkeys(
        ("drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate"), _rate,
    ),
    **dict.fromkeys(
        ("qkv_bias", "qk_norm", "proj_bias", "class_token", "no_embed_class", "pre_norm", "final_norm", "fc_norm",
         "pool_include_prefix", "dynamic_img_size", "dynamic_img_pad", "strict_img_size"), _flag,
    ),
    "global_pool": lambda value: value in ("", "avg", "avgmax", "max", "token", "map"),
}  # fmt: skip
#: What is taken of pretrained_cfg.
CARD: dict[str, Callable[[Any], bool]] = {
    "input_size": _three,
    "fixed_input_size": _flag,
    "num_classes": _classes,
    "interpolation": lambda value: value in facts.MODES,
    "crop_pct": lambda value: _number(value) and value <= 1,
    "mean": _channels,
    "std": lambda value: _channels(value) and min(value) > 0,
}


@dataclass(frozen=True)
class Described:
    """architecture: a name of timm's list. options: of it, as timm.create_model takes them. cfg: of its pretrained_cfg."""

    architecture: str
    options: Mapping[str, Any]
    cfg: Mapping[str, Any]


def create(folder: Path, file: Path | None = None) -> nn.Module:
    """timm's model of a folder, with its weights.

    Args:
        file: of the weights, where the folder's usual one is not meant.
    Raises: ZooError for a config with what may not stand there, an architecture that timm does not have, weights that are
        missing, or do not fit it.
    """
    from zoo.pretrained import timm_hub

    told = describe(folder)
    card = {**timm_hub.card(told.architecture), **told.cfg}
    return timm_hub.fitted(told.architecture, file or weights_file(folder), card, told.options)


def describe(folder: Path) -> Described:
    """config.json, checked. Raises: ZooError that names the key."""
    path = folder / CONFIG
    content = read_json(path)
    name = content.get("architecture") if isinstance(content, dict) else None
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ZooError(f"{str(path)!r}: architecture={one_line(str(name), 80)!r} is not a name of timm's list.")
    given = content.get("pretrained_cfg", content)  # of timm before 0.9: one list of keys
    if not isinstance(given, dict):
        raise ZooError(f"{str(path)!r}: pretrained_cfg is a {type(given).__name__}, no set of keys.")
    given = {**given, **{key: content[key] for key in ("num_classes", "label_names") if key in content}}
    cfg = {key: given[key] for key in CARD if given.get(key) is not None}
    _check(cfg, CARD, f"{str(path)!r}: pretrained_cfg")
    cfg = {key: tuple(value) if isinstance(value, list) else value for key, value in cfg.items()}
    names = given.get("label_names", given.get("labels"))
    if names := facts.classes(names if isinstance(names, list) else None, str(path)):
        cfg["label_names"] = names
    options = content.get("model_args") or {}
    if not isinstance(options, dict):
        raise ZooError(f"{str(path)!r}: model_args is a {type(options).__name__}, no set of options.")
    options = {key: value for key, value in options.items() if value is not None}
    _check(options, OPTIONS, f"{str(path)!r}: model_args")
    return Described(name, options, cfg)


def _check(given: Mapping[str, Any], known: Mapping[str, Callable[[Any], bool]], where: str) -> None:
    for key, value in given.items():
        if key not in known:
            raise ZooError(
                f"{where}.{one_line(key, 80)} is an option that is not read here; known: {', '.join(known)}."
            )
        if not known[key](value):
            raise ZooError(f"{where}.{key}={one_line(str(value), 80)} is out of range, or of another kind.")
