"""PatchTST's options, and its tensors by our names."""

from collections.abc import Mapping
from typing import Any

import torch

from zoo.errors import ZooError
from zoo.pretrained.transformers_options import LAYERS, Options, act, part
from zoo.pretrained.weights import State

HEADS = {"student_t": "StudentT", "normal": "Normal", "negative_binomial": "NegativeBinomial"}
SCALES = {"std": "StdScale", "mean": "MeanScale", True: "MeanScale"}
NORMS = {"batchnorm": "zoo.layers.series_patches.TokenBatchNorm", "layernorm": "torch.nn.LayerNorm"}
POSITIONS = {
    "random": "zoo.attention.Learned",
    "sincos": "zoo.attention.positions.embeddings.StandardSinusoidal",
}


def config_of(theirs: Mapping[str, Any], kind: str, where: str) -> dict[str, Any]:
    """A config of transformers -> ours.

    Args:
        theirs: plain, as config.json holds it.
        kind: PatchTSTForPrediction or PatchTSTForPretraining.
        where: what errors call it.
    Raises: ZooError naming each option that ours does not have.
    """
    o = Options(theirs, where)
    o.only("model_type", "patchtst")
    o.passed_over("architectures", "init_std", "num_targets", "output_range", "num_parallel_samples", "do_mask_input")
    o.passed_over("id2label", "label2id", "problem_type", "num_labels", "is_decoder", "tie_word_embeddings")
    dim, depth, heads = o.whole("d_model", 128), o.whole("num_hidden_layers", 3), o.whole("num_attention_heads", 4)
    if dim % heads or depth > LAYERS:
        raise ZooError(f"{where}: d_model={dim}, num_attention_heads={heads}, num_hidden_layers={depth} cannot be.")
    made = {
        "_target_": "zoo.models.series.patchtst.PatchTST",
        "channels": o.whole("num_input_channels", 1),
        "lookback": o.whole("context_length", 32),
        "horizon": o.whole("prediction_length", 24),
        "patch": o.whole("patch_length", 1),
        "stride": o.whole("patch_stride", 1),
        **dict(dim=dim, depth=depth, num_heads=heads, hidden=o.whole("ffn_dim", 512)),
        **dict(end_padding=False, residual_scores=False),
        "position": part(_named(o, "positional_encoding_type", "sincos", POSITIONS)),
        "norm": part(_named(o, "norm_type", "batchnorm", NORMS), eps=o.number("norm_eps", 1e-5)),
        "order": part(f"zoo.layers.{'pre' if o.flag('pre_norm', True) else 'post'}_norm"),
        "act": act(o, "activation_function", "gelu"),
        "revin": _scale(o),
        "mix_channels": o.flag("channel_attention", False),
        "class_token": o.flag("use_cls_token", False),
        "shared_embedding": o.flag("share_embedding", True),
        "mlp_bias": o.flag("bias", True),
        "dropout": o.rate("path_dropout"),
        "embed_dropout": o.rate("positional_dropout"),
        "hidden_dropout": o.rate("ff_dropout"),
        "attn_dropout": o.rate("attention_dropout"),
        "head_dropout": o.rate("head_dropout"),
    }
    masked = ("mask_type", "random_mask_ratio", "num_forecast_mask_patches", "channel_consistent_masking", "mask_value")
    if kind == "PatchTSTForPretraining":
        o.passed_over("share_projection", "pooling_type", "loss", "distribution_output")
        made["masking"] = _masking(o)
    else:
        o.passed_over(*masked, "unmasked_channel_indices")
        made["pool"] = _pool(o)
        made["head"] = _head(o)
        if not o.flag("share_projection", True):
            o.refuse("share_projection", False, "transformers itself fails there with several channels")
    o.finish(kind)
    return made


def _named(o: Options, key: str, default: str, names: Mapping[str, str]) -> str:
    name = o.take(key, default)
    if not isinstance(name, str) or name not in names:
        o.refuse(key, name)
        return names[default]
    return names[name]


def _scale(o: Options) -> Any:
    scaling = o.take("scaling", "std")
    if scaling is None or scaling is False:
        return False
    if not isinstance(scaling, str | bool) or scaling not in SCALES:
        o.refuse("scaling", scaling)
        return False
    return {"_target_": f"zoo.layers.scaling.{SCALES[scaling]}"}


def _pool(o: Options) -> str | None:
    pool = o.take("pooling_type", "mean")
    if pool not in ("mean", "max", None):
        o.refuse("pooling_type", pool)
        return None
    return pool


def _head(o: Options) -> dict[str, Any]:
    loss, name = o.take("loss", "mse"), o.take("distribution_output", "student_t")
    if loss == "mse":
        return {"_target_": "zoo.models.series.heads.Point"}
    if loss != "nll":
        o.refuse("loss", loss)
    elif not isinstance(name, str) or name not in HEADS:
        o.refuse("distribution_output", name)
    elif o.config.get("prediction_length") == 1:
        o.refuse("prediction_length", 1, "transformers itself fails there with loss='nll'")
    else:
        return {"_target_": f"zoo.models.series.{'counts' if name == 'negative_binomial' else 'heads'}.{HEADS[name]}"}
    return {"_target_": "zoo.models.series.heads.Point"}


def _masking(o: Options) -> dict[str, Any]:
    kind, counts = o.take("mask_type", "random"), o.take("num_forecast_mask_patches", (2,))
    how: dict[str, Any] = {
        "value": o.take("mask_value", 0),
        "shown": list(o.take("unmasked_channel_indices", None) or ()),
    }
    ratio, same = o.number("random_mask_ratio", 0.5, most=1.0), o.flag("channel_consistent_masking", False)
    if kind == "forecast":
        counts = [counts] if isinstance(counts, int) else list(counts or ())
        return {"_target_": "zoo.layers.patch_masking.LastPatches", "counts": counts, **how}
    if kind != "random":
        o.refuse("mask_type", kind)
    return {"_target_": "zoo.layers.patch_masking.RandomPatches", "ratio": ratio, "same_channels": same, **how}


def tensors_of(state: Mapping[str, Any], config: Mapping[str, Any]) -> State:
    """Tensors of PatchTSTForPrediction or PatchTSTForPretraining by our names."""
    found: State = {}
    encoder = "model.encoder."
    embedding = f"{encoder}embedder.input_embedding."
    for name in ("weight", "bias"):
        if config["shared_embedding"]:
            found[f"patch_embed.proj.{name}"] = state[embedding + name]
        else:
            found[f"patch_embed.proj.{name}"] = torch.stack(
                [state[f"{embedding}{c}.{name}"] for c in range(config["channels"])]
            )
    found["position.table"] = state[f"{encoder}positional_encoder.position_enc"]
    if config["class_token"]:
        found["cls_token"] = state[f"{encoder}positional_encoder.cls_token"].squeeze(0)
    for i in range(config["depth"]):
        found |= {f"blocks.{i}.{name}": x for name, x in _layer(state, f"{encoder}layers.{i}.").items()}
    for name in ("weight", "bias"):
        if f"head.linear.{name}" in state:
            found[f"patch_head.{name}"] = state[f"head.linear.{name}"]
        elif f"head.projection.{name}" in state:
            found[f"proj.{name}"] = state[f"head.projection.{name}"]
        else:  # a map for each parameter of a distribution; ours has the parameters of a step side by side
            each = [x for key, x in state.items() if key.startswith("head.projection.proj.") and key.endswith(name)]
            found[f"proj.{name}"] = torch.stack(each, 1).flatten(0, 1)
    return found


#: Our names of a block's parts, and theirs.
NAMES = {
    "attn.output.proj": "self_attn.out_proj",
    "norm1": "norm_sublayer1",
    "norm_channels": "norm_sublayer2",
    "norm2": "norm_sublayer3",
    "mlp.fc1": "ff.0",
    "mlp.act": "ff.1",
    "mlp.fc2": "ff.3",
}


def _layer(state: Mapping[str, Any], prefix: str) -> State:
    inside = {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}
    found: State = {}
    for own, theirs in NAMES.items():
        for name, x in inside.items():
            if name.startswith(f"{theirs}."):
                found[f"{own}.{name.removeprefix(theirs + '.').removeprefix('batchnorm.')}"] = x
    for name in ("weight", "bias"):
        found[f"attn.projection.qkv.{name}"] = torch.cat([inside[f"self_attn.{which}_proj.{name}"] for which in "qkv"])
    return found
