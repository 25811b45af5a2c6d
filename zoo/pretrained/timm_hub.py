"""timm's models by name, with weights from its hub or a file, and what timm knows about them."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

import timm
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from torch import nn

from zoo.catalog.cache import offline
from zoo.checked.model import Most, Weightless
from zoo.errors import ZooError, nearest, one_line
from zoo.models import Preprocess
from zoo.pretrained import weights

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def create(name: str, file: Path | None = None) -> nn.Module:
    """timm's model of that name with its pretrained weights, from timm's hub or from a file that timm could load.

    Raises: ZooError for an unknown name or tag, weights that cannot be had, a file of another architecture.
    """
    if file is not None:
        return fitted(name, file, card(name))
    known = card(name)
    if word := offline():
        return fitted(name, _in_cache(name, known, word), known)
    try:
        return timm.create_model(name, pretrained=True)
    except Exception as error:  # the network's, the hub's and torch's errors have no base in common
        raise ZooError(
            f"timm has no weights for {name}, or there is no network ({_reason(error)}). Choose a name of "
            f"timm.list_pretrained(), or give a file: timm://{name}@<path>."
        ) from error


def _in_cache(name: str, known: Mapping[str, Any], word: str) -> Path:
    """The file that timm has fetched before, in the hub's cache. Raises: ZooError where there is none."""
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(known["hf_hub_id"], "model.safetensors") if known.get("hf_hub_id") else None
    if not isinstance(found, str):
        raise ZooError(
            f"timm's {name} is not in the hub's cache {constants.HF_HUB_CACHE!r}, and {word} forbids the network; give a file: "
            f"timm://{name}@<path>."
        )
    return Path(found)


def fitted(name: str, file: Path, cfg: dict[str, Any], options: Mapping[str, Any] = NO_OPTIONS) -> nn.Module:
    """timm's model of that name with the weights of a file, and of no other place, whatever `cfg` says.

    The file decides the number of classes and channels; a position grid of another size is resampled by timm.

    Args:
        name: of timm's list, with or without a tag.
        cfg: timm's pretrained_cfg of these weights.
        options: as timm.create_model takes them.
    Raises: ZooError for a file of another architecture.
    """
    state, overlay, sizes = _state(file), dict(cfg), dict(options)
    if (head := state.get("head.weight")) is not None and head.ndim == 2:
        sizes["num_classes"] = overlay["num_classes"] = len(head)
    if (stem := state.get("patch_embed.proj.weight")) is not None and stem.ndim == 4:
        sizes["in_chans"] = stem.shape[1]
        overlay["input_size"] = (stem.shape[1], *overlay.get("input_size", (3, 224, 224))[1:])
    overlay |= {"state_dict": state, "custom_load": False, "source": ""}
    stored = sum(tensor.numel() for tensor in state.values())
    try:
        # Classes and channels are the file's word, so first without memory: does it hold weights for them?
        with Weightless(Most(numbers=4 * stored + 10**6, tensors=0)):
            timm.create_model(name.partition(".")[0], **sizes)
        model: Any = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **sizes)
    except Exception as error:  # as above
        raise ZooError(
            f"{str(file)!r} does not fit timm's {name} ({_reason(error)}); name the model it is of."
        ) from error
    model.pretrained_cfg.pop("state_dict", None)  # as large as the model
    return model


def _reason(error: Exception) -> str:
    return one_line(error, 300)


def card(name: str) -> dict[str, Any]:
    """What timm's registry knows of a name, with or without a tag: input size, mean, std, classes, ... No network.

    Raises: ZooError with the nearest names, or the tags there are.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = get_close_matches(architecture, timm.list_models(), n=8, cutoff=0.3)  # of more than a thousand
        raise ZooError(f"timm has no model {architecture!r}; {nearest(architecture, close)}")
    tags = [full.partition(".")[2] for full in timm.list_models(f"{architecture}.*", pretrained=True)]
    if tag and tag not in tags:
        raise ZooError(f"timm has no weights {tag!r} of {architecture}; {nearest(tag, tags)}")
    found = timm.get_pretrained_cfg(name)
    return found.to_dict() if found else {}


def preprocess_of(model: Any) -> Preprocess | None:
    """From timm's pretrained_cfg, at the size and channels of the model; None without one, or for no square."""
    cfg = getattr(model, "pretrained_cfg", None)
    height, width = model.patch_embed.img_size
    if not cfg or "mean" not in cfg or height != width:
        return None
    return preprocess(cfg, height, model.patch_embed.proj.in_channels)


def preprocess_in(cfg: Mapping[str, Any]) -> Preprocess | None:
    """From a pretrained_cfg alone, at its own size; None for none, or for no square."""
    if not cfg or "mean" not in cfg:
        return None
    channels, height, width = cfg.get("input_size", (3, 224, 224))
    return preprocess(cfg, height, channels) if height == width else None


def preprocess(cfg: Mapping[str, Any], size: int, in_chans: int) -> Preprocess:
    """timm's pretrained_cfg as a Preprocess; over other channels than its own, mean and std are averaged."""
    mean, std = (tuple(map(float, cfg[key])) for key in ("mean", "std"))
    own = Preprocess(size, len(mean), mean, std, cfg.get("interpolation", "bicubic"), cfg.get("crop_pct", 1.0))
    return own.at(size, in_chans)


def classes_of(model: Any) -> tuple[str, ...] | None:
    """Names of the classes where timm knows them: its hub's label names, or ImageNet's by their number."""
    cfg = getattr(model, "pretrained_cfg", None) or {}
    if not model.num_classes or model.num_classes != cfg.get("num_classes"):
        return None
    if names := cfg.get("label_names"):
        return tuple(names)
    subset = infer_imagenet_subset(cfg)
    return tuple(ImageNetInfo(subset).label_descriptions()) if subset else None


def _state(file: Path) -> weights.State:
    """The state dict in a file, inside the keys that training scripts put around it; averaged weights come first."""
    content = weights.read(file)
    for key in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    return weights.clean(content)
