"""A ViT as a file of timm's: `timm.create_model(name, ..., checkpoint_path=file)`, the way back of zoo.pretrained.from_timm.

A model of timm's with our sizes is built, what it would be here (`from_timm.config_of`) is held against the model, and whatever
differs is refused by its name. So what from_timm learns to read can be written as soon as the arguments below ask for it.
"""

import json
from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from zoo.errors import ZooError, one_line
from zoo.exports.alike import differing
from zoo.exports.compare import at, largest_difference
from zoo.exports.served import served
from zoo.models.vision.vit import WIDTHS, ViT
from zoo.pretrained.from_timm import config_of
from zoo.pretrained.weights import State, tensors

SUFFIXES, NEEDS, OPTIONS = (".safetensors", ".pth"), (), ()
#: our activations and norms -> the words that timm's arguments know
ACTS = {"GELU": "gelu", "QuickGELU": "quick_gelu", "ReLU": "relu", "SiLU": "silu"}
NORMS = {"LayerNorm": "layernorm", "RMSNorm": "rmsnorm"}
ANY = "vit_base_patch16_224"  # takes any sizes
#: our names -> timm's; what is not listed has the same name
RENAMED = {
    "position.table": "pos_embed",
    ".attn.projection.qkv.": ".attn.qkv.",
    ".attn.output.proj.": ".attn.proj.",
    ".branch1.0.gamma": ".ls1.gamma",
    ".branch2.0.gamma": ".ls2.gamma",
}


def write(model: nn.Module, file: Path) -> tuple[float, dict[str, str]]:
    """See `zoo.exports.export`. Raises: ZooError for another class, and naming what timm's has not."""
    if type(model) is not ViT:
        raise ZooError(
            f"class={type(model).__name__} is not a vision transformer, which timm would be given; take onnx."
        )
    name, settings = call_of(model)
    try:
        theirs: Any = timm.create_model(name, **settings)
    except Exception as error:  # timm's arguments are checked by whichever module takes them
        raise ZooError(f"timm builds no such model, {_words(name, settings)}: {one_line(error, 300)}") from error
    if found := differing(model, config_of(theirs)):
        raise ZooError(f"timm's VisionTransformer has no {', '.join(found)}: it is not exported there.")
    state = tensors_of(model)
    notes = {"timm": json.dumps({"name": name, **settings}), "format": "pt"}
    prepared = getattr(model, "preprocess", None)
    if prepared is not None:
        notes["preprocess"] = json.dumps(asdict(prepared))
    if getattr(model, "classes", None):
        notes["classes"] = json.dumps(list(model.classes or ()))
    if file.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, file, metadata=notes)
    else:
        torch.save(state, file)
    again = timm.create_model(name, checkpoint_path=str(file), **settings).eval().float()
    graph = served(model.float())
    told = {"load it": _words(name, {**settings, "checkpoint_path": "<this file>"})}
    if prepared is not None:
        told["images"] = f"{prepared.size} x {prepared.size}, mean {prepared.mean}, std {prepared.std}"
    told["compared at"] = at(graph)
    return largest_difference(graph, lambda given: {"logits": again(given["images"])}), told


def call_of(model: ViT) -> tuple[str, dict[str, Any]]:
    """timm's name, and the arguments in which the model differs from it."""
    block: Any = model.blocks[0]
    patches, norm, act = model.patch_embed, block.norm1, getattr(block.mlp, "act", None)
    hidden = getattr(getattr(block.mlp, "fc1", None), "out_features", model.dim)
    height, width = (side * patches.patch_size for side in model.grid or (0, 0))
    sizes = (model.dim, len(model.blocks), block.attn.num_heads)
    known = (f"vit_{word}_patch{patches.patch_size}_224" for word, each in WIDTHS.items() if each == sizes)
    name = next((each for each in known if timm.is_model(each)), ANY)
    named = {"patch_size": 16, "embed_dim": 768, "depth": 12, "num_heads": 12}  # ANY's
    if name != ANY:
        named = {"patch_size": patches.patch_size, **dict(zip(("embed_dim", "depth", "num_heads"), sizes, strict=True))}
    usual = {**{key: each.default for key, each in signature(VisionTransformer).parameters.items()}, **named}
    kind = type(norm).__name__
    act_word = "gelu_tanh" if getattr(act, "approximate", "none") == "tanh" else ACTS.get(type(act).__name__)
    scale = getattr(block, "branch1", None)
    start = next((0.1 for each in (scale.modules() if scale else ()) if type(each).__name__ == "LayerScale"), None)
    settings: dict[str, Any] = {
        "img_size": height if height == width else (height, width),
        "patch_size": patches.patch_size,
        "in_chans": patches.in_chans,
        "embed_dim": sizes[0],
        "depth": sizes[1],
        "num_heads": sizes[2],
        "mlp_ratio": hidden / model.dim,
        "qkv_bias": block.attn.projection.qkv.bias is not None if hasattr(block.attn.projection, "qkv") else True,
        "qk_norm": block.attn.q_norm is not None,
        "init_values": start,
        "class_token": model.has_class_token,
        "pos_embed": "none" if type(model.position).__name__ == "Position" else "learn",
        "no_embed_class": bool(model.num_prefix_tokens) and not model.position.prefix,
        "reg_tokens": model.num_prefix_tokens - model.has_class_token,
        "pre_norm": model.norm_pre is not None,
        "global_pool": {"ClassToken": "token", "PatchMean": "avg"}.get(type(model.pool).__name__, "token"),
        "final_norm": model.norm is not None or model.fc_norm is not None,
        "fc_norm": model.fc_norm is not None,
        "norm_layer": None if kind == "LayerNorm" else NORMS.get(kind),
        "act_layer": None if act_word == "gelu" else act_word,
    }
    if settings["fc_norm"] == (settings["global_pool"] == "avg"):
        del settings["fc_norm"]  # as it is where nothing is said
    made = {key: value for key, value in settings.items() if value != usual[key]}
    return name, {"num_classes": model.num_classes, **made}


def tensors_of(model: ViT) -> State:
    """Our tensors under timm's names and in its shapes."""
    found = {}
    patches = model.patch_embed
    for name, tensor in tensors(model).items():
        if name == "position.table":
            tensor = tensor[None]
        elif name == "patch_embed.proj.weight":  # a matrix product is a convolution of stride = kernel
            tensor = tensor.unflatten(1, (patches.in_chans, patches.patch_size, patches.patch_size))
        for ours, theirs in RENAMED.items():
            name = name.replace(ours, theirs)
        found[name] = tensor.contiguous()
    return found


def _words(name: str, settings: dict[str, Any]) -> str:
    return f"timm.create_model({', '.join([repr(name), *(f'{key}={value!r}' for key, value in settings.items())])})"
