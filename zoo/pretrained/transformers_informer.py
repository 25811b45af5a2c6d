"""Informer's options, and its tensors by our names."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.pretrained.transformers_options import LAYERS, Options, act
from zoo.pretrained.weights import State

HEADS = {
    "student_t": ("zoo.models.series.heads.StudentT", ("df", "loc", "scale")),
    "normal": ("zoo.models.series.heads.Normal", ("loc", "scale")),
    "negative_binomial": ("zoo.models.series.counts.NegativeBinomial", ("total_count", "logits")),
}
SCALES = {"mean": "MeanScale", True: "MeanScale", "std": "StdScale"}
#: Names of a part -> ours, wherever it stands.
RENAMED = {
    "self_attn_layer_norm": "norm1",
    "encoder_attn_layer_norm": "norm2",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
}


def config_of(theirs: Mapping[str, Any], kind: str, where: str, lazy: str) -> dict[str, Any]:
    """A config of transformers -> ours.

    Args:
        theirs: plain, as config.json holds it.
        kind: InformerForPrediction.
        where: what errors call it.
        lazy: of the decoder's ProbSparse.
    Raises: ZooError naming each option that ours does not have.
    """
    o = Options({key: value for key, value in theirs.items() if key != "is_encoder_decoder"}, where)
    o.only("model_type", "informer")
    o.only("loss", "nll")
    o.passed_over("architectures", "init_std", "id2label", "label2id", "problem_type", "num_labels", "is_decoder")
    o.passed_over("tie_word_embeddings", "feature_size")
    horizon, dim = o.whole("prediction_length"), o.whole("d_model", 64)
    heads, decoder_heads = o.whole("encoder_attention_heads", 2), o.whole("decoder_attention_heads", 2)
    depth, decoder_depth = o.whole("encoder_layers", 2), o.whole("decoder_layers", 2)
    if dim % heads or dim % decoder_heads or max(depth, decoder_depth) > LAYERS:
        raise ZooError(
            f"{where}: d_model={dim}, {heads} and {decoder_heads} heads, {depth} and {decoder_depth} layers cannot be."
        )
    categories, widths = o.take("cardinality", None), o.take("embedding_dimension", None)
    if not o.take("num_static_categorical_features", 0):
        categories, widths = [], []  # they say [0] then
    lags = o.take("lags_sequence", [1, 2, 3, 4, 5, 6, 7])
    if not isinstance(lags, list) or not lags or any(type(lag) is not int or lag < 1 for lag in lags):
        raise ZooError(f"{where}: lags_sequence={lags!r:.80} are not whole numbers from 1 on.")
    made = {
        "_target_": "zoo.models.series.lagged.LaggedInformer",
        "horizon": horizon,
        "context": o.whole("context_length", horizon),
        "channels": o.whole("input_size", 1),
        "lags": lags,
        "time_features": o.take("num_time_features", 0) + o.take("num_dynamic_real_features", 0),
        "static_categories": categories,
        "category_dims": widths,
        "static_reals": o.take("num_static_real_features", 0),
        **dict(dim=dim, depth=depth, decoder_depth=decoder_depth, num_heads=heads, decoder_heads=decoder_heads),
        **dict(hidden=o.whole("encoder_ffn_dim", 32), decoder_hidden=o.whole("decoder_ffn_dim", 32)),
        "distil": o.flag("distil", True),
        "scaling": _scaling(o),
        "head": _head(o),
        "act": act(o, "activation_function", "gelu"),
        "samples": o.whole("num_parallel_samples", 100),
        "dropout": o.rate("dropout", 0.05),
        "attn_dropout": o.rate("attention_dropout", 0.1),
        "hidden_dropout": o.rate("activation_dropout", 0.1),
        "layer_drop": o.rate("encoder_layerdrop", 0.1),
        "decoder_layer_drop": o.rate("decoder_layerdrop", 0.1),
        **_patterns(o, horizon, lazy),
    }
    o.finish(kind)
    return made


def _scaling(o: Options) -> dict[str, Any] | None:
    """What they take for anything else is no scaling at all."""
    name = o.take("scaling", "mean")
    found = SCALES.get(name) if isinstance(name, str | bool) else None
    return {"_target_": f"zoo.layers.scaling.{found}"} if found else None


def _head(o: Options) -> dict[str, Any]:
    name = o.take("distribution_output", "student_t")
    if name not in HEADS:
        o.refuse("distribution_output", name)
        name = "student_t"
    return {"_target_": HEADS[name][0]}


def _patterns(o: Options, horizon: int, lazy: str) -> dict[str, Any]:
    """Theirs ranks a decoder's queries over the whole horizon; where that answers all of them, so does full attention."""
    kind, factor = o.take("attention_type", "prob"), o.whole("sampling_factor", 5)
    full = {"_target_": "zoo.attention.Full"}
    if kind != "prob":  # they take any other word for full attention
        return {"pattern": full, "decoder_pattern": full}
    sparse = {"_target_": "zoo.attention.ProbSparse", "factor": factor}
    answered = factor * math.ceil(math.log1p(horizon)) >= horizon
    return {"pattern": sparse, "decoder_pattern": full if answered else {**sparse, "lazy": lazy}}


def tensors_of(state: Mapping[str, Tensor], config: Mapping[str, Any], distribution: str) -> State:
    """Their tensors by our names; q, k and v stacked as ours are, the numbers of a step side by side."""
    found: State = {}
    for name, tensor in state.items():
        parts = name.removeprefix("model.").split(".")
        if parts[0] == "embedder":
            found[".".join(["categories", *parts[2:]])] = tensor
        elif parts[0] in ("encoder", "decoder"):
            found.update(_tensor(parts[0], parts[1:], state, name, tensor))
    numbers = HEADS[distribution][1]
    for part_ in ("weight", "bias"):
        each = [state[f"parameter_projection.proj.{i}.{part_}"] for i in range(len(numbers))]
        found[f"proj.{part_}"] = torch.stack(each, 1).flatten(0, 1)  # [C, width]
    return found


def _tensor(side: str, parts: list[str], state: Mapping[str, Tensor], name: str, tensor: Tensor) -> State:
    """One tensor of encoder or decoder; q's brings k's and v's along."""
    own = "" if side == "encoder" else "decoder_"
    if parts[0] in ("value_embedding", "layernorm_embedding", "embed_positions"):
        which = {"value_embedding": "embed", "layernorm_embedding": "norm"}.get(parts[0])
        return {} if which is None else {f"{own}{which}.{parts[-1]}": tensor}
    if parts[0] == "conv_layers":
        return {".".join(["distil", parts[1], {"downConv": "conv"}.get(parts[2], parts[2]), parts[3]]): tensor}
    number, what, rest = parts[1], parts[2], parts[3:]
    before = f"{side}.{number}."
    if what in ("self_attn", "encoder_attn"):
        return _attention(before, side, what, rest, state, name, tensor)
    if what == "final_layer_norm":
        return {f"{before}norm{2 if side == 'encoder' else 3}.{rest[0]}": tensor}
    return {f"{before}{RENAMED[what]}.{rest[0]}": tensor}


def _attention(
    before: str, side: str, what: str, rest: list[str], state: Mapping[str, Tensor], name: str, tensor: Tensor
) -> State:
    ours = "attn" if side == "encoder" else "self_attn" if what == "self_attn" else "cross_attn"
    map_, kind = rest
    if map_ == "out_proj":
        return {f"{before}{ours}.output.proj.{kind}": tensor}
    if map_ != "q_proj":
        return {}
    k, v = (state[name.replace("q_proj", other)] for other in ("k_proj", "v_proj"))
    if what == "self_attn":
        return {f"{before}{ours}.projection.qkv.{kind}": torch.cat([tensor, k, v])}
    return {
        f"{before}{ours}.projection.q.{kind}": tensor,
        f"{before}{ours}.projection.kv.{kind}": torch.cat([k, v]),
    }
