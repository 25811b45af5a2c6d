"""transformers' encoder-decoders as `Transformer2017`: MarianMTModel and BartForConditionalGeneration, options and names.

What differs is parts: Marian adds sines (all of them before the cosines) and no norm, BART a learned table a side and a norm
behind it. `final_logits_bias` is the bias of the map to the vocabulary; theirs is a buffer that no training moves, ours learns.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.attention.positions.embeddings import sinusoid
from zoo.errors import ZooError
from zoo.pretrained.transformers_options import LAYERS, Options, act, part

OFFSET = 2  # rows of BART's tables before the first place, which nothing reads
BIAS = "final_logits_bias"
#: Of old versions, which left them in config.json; of classifiers, which these classes have not.
OLD = ("extra_pos_embeddings", "classif_dropout", "force_bos_token_to_be_generated", "save_step", "student_decoder_layers",
       "student_encoder_layers")  # fmt: skip
HEADS = ("id2label", "label2id", "num_labels", "problem_type", "classifier_dropout", "_num_labels", "init_std")


def marian(o: Options) -> dict[str, Any]:
    """MarianMTModel: sines then cosines, embeddings of both sides shared or not."""
    vocab = o.whole("vocab_size", 58101)
    shared, tied = o.flag("share_encoder_decoder_embeddings", True), o.flag("tie_word_embeddings", True)
    target = o.whole("decoder_vocab_size", None, null=True) or vocab
    if shared and target != vocab:
        o.refuse("decoder_vocab_size", target, f"with embeddings shared by {vocab} tokens")
    o.only("normalize_embedding", False, None)
    o.only("static_position_embeddings", True, None)
    o.whole("max_position_embeddings", 1024)  # ours goes on behind them
    position = part("zoo.attention.Sinusoidal", interleaved=False)
    return {**_shared(o, (vocab, target), shared and tied, tied, start=58100), "position": position}


def bart(o: Options) -> dict[str, Any]:
    """BartForConditionalGeneration: learned places, a norm behind them, one matrix for all unless untied."""
    vocab, tied = o.whole("vocab_size", 50265), o.flag("tie_word_embeddings", True)
    o.only("normalize_embedding", True, None)
    o.only("static_position_embeddings", False, None)
    position = part("zoo.attention.Learned", length=o.whole("max_position_embeddings", 1024))
    return {
        **_shared(o, (vocab, vocab), tied, tied, start=2),
        "position": position,
        "embed_norm": part("torch.nn.LayerNorm"),
    }


#: model_type -> (class, what reads its config)
FAMILIES: dict[str, tuple[str, Callable[[Options], dict[str, Any]]]] = {
    "marian": ("MarianMTModel", marian),
    "bart": ("BartForConditionalGeneration", bart),
}


def generation(given: Mapping[str, Any], where: str, vocab: int) -> dict[str, list[int]]:
    """What `generate` goes by, of a generation_config.json, or of a config.json without one: what a target begins with
    (decoder_start_token_id, and forced_bos_token_id behind it), what is never said (suppress_tokens, and bad_words_ids of one
    token). Not taken over: forced_eos_token_id, which ends a text that is cut off, and all that a caller of `generate` says.

    Raises: ZooError for what is no id of this vocabulary.
    """

    def ids(key: str, value: Any) -> list[int]:
        found = value if isinstance(value, list) else [] if value is None else [value]
        if wrong := [each for each in found if type(each) is not int or not 0 <= each < vocab]:
            raise ZooError(
                f"{where}: {key} has {wrong[0]!r:.80}, which is no token of this vocabulary, 0 to {vocab - 1}."
            )
        return found

    begin = [each for key in ("decoder_start_token_id", "forced_bos_token_id") for each in ids(key, given.get(key))]
    words = given.get("bad_words_ids")
    single = [
        word[0] for word in (words if isinstance(words, list) else []) if isinstance(word, list) and len(word) == 1
    ]
    never = sorted({*ids("suppress_tokens", given.get("suppress_tokens")), *ids("bad_words_ids", single)})
    return {**({"begin_tokens": begin} if begin else {}), **({"suppress_tokens": never} if never else {})}


def _shared(o: Options, vocabs: tuple[int, int], joint: bool, tied: bool, start: int) -> dict[str, Any]:
    o.only("is_encoder_decoder", True)
    o.only("is_decoder", False, None)
    for off in ("normalize_before", "add_final_layer_norm", "add_bias_logits"):
        o.only(off, False, None)
    for side in ("encoder", "decoder"):
        o.only(f"{side}_layerdrop", 0.0, 0, None)
    o.passed_over(*OLD, *HEADS)
    dim, depth = o.whole("d_model", 1024), o.whole("encoder_layers", 12)
    o.only("num_hidden_layers", depth)
    sizes = {"dim": dim, "depth": depth, "decoder_depth": o.whole("decoder_layers", 12)}
    heads = {
        "num_heads": o.whole("encoder_attention_heads", 16),
        "decoder_heads": o.whole("decoder_attention_heads", 16),
    }
    if any(dim % each for each in heads.values()) or max(depth, sizes["decoder_depth"]) > LAYERS:
        raise ZooError(f"{o.where}: d_model={dim}, {heads} and {depth} and {sizes['decoder_depth']} layers cannot be.")
    rate = o.rate("dropout", 0.1)
    inner = part(
        "zoo.layers.FeedForward", act=act(o, "activation_function", "gelu"), hidden_dropout=o.rate("activation_dropout")
    )
    return {
        "_target_": "zoo.models.pairs.transformer.Transformer2017",
        **dict(source_vocab=vocabs[0], target_vocab=vocabs[1], joint=joint, tied=tied, head_bias=True),
        **sizes,
        **heads,
        "hidden": o.whole("encoder_ffn_dim", 4096),
        "decoder_hidden": o.whole("decoder_ffn_dim", 4096),
        "embed_scale": dim**0.5 if o.flag("scale_embedding", False) else 1.0,
        "feed_forward": inner,
        "dropout": rate,
        "attn_dropout": o.rate("attention_dropout"),
        **generation({"decoder_start_token_id": start, **o.config}, o.where, vocabs[1]),
    }


def _layer(side: str, attentions: Mapping[str, str]) -> dict[str, str]:
    """Names within a layer of a side; attentions: theirs -> ours."""
    at, found = f"{side}.blocks.*", dict[str, str]()
    for i, (theirs, ours) in enumerate(attentions.items(), 1):
        for number, name in enumerate("qkv"):
            fused = "qkv" if ours == "attn" else "kv"
            where = f"{fused}:{number}" if name in fused else name
            found[f"{theirs}.{name}_proj"] = f"{at}.{ours}.projection.{where}"
        found[f"{theirs}.out_proj"] = f"{at}.{ours}.output.proj"
        found[f"{theirs}_layer_norm"] = f"{at}.norm{i}"
    found["final_layer_norm"] = f"{at}.norm{len(attentions) + 1}"
    return {**found, "fc1": f"{at}.mlp.fc1", "fc2": f"{at}.mlp.fc2"}


NAMES: dict[str, Any] = {
    "shared": "embed",
    "encoder.embed_tokens": "source_embed",
    "decoder.embed_tokens": "embed",
    "lm_head": "head",
    "encoder.embed_positions": "source_position",
    "decoder.embed_positions": "position",
    "encoder.layernorm_embedding": "source_norm",
    "decoder.layernorm_embedding": "embed_norm",
    "encoder.layers.*": _layer("encoder", {"self_attn": "attn"}),
    "decoder.layers.*": _layer("decoder", {"self_attn": "attn", "encoder_attn": "cross"}),
}


def prepared(state: Mapping[str, Tensor], config: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """A state of theirs whose tensors have our shapes.

    `shared` stands for embeddings that are not there, and is unread where both sides have their own. BART's tables lose the
    rows before the first place, Marian's are left out, being the sines that ours computes.

    Raises: ZooError for a table of other numbers.
    """
    found = {name.removeprefix("model."): tensor for name, tensor in state.items()}
    embeds = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    if not config["joint"] and (shared := found.pop("shared.weight", None)) is not None:
        found = {**dict.fromkeys(embeds, shared), **found}
    learned = "length" in config["position"]
    for name in [f"{side}.embed_positions.weight" for side in ("encoder", "decoder")]:
        if name not in found:
            continue
        if learned:
            found[name] = found[name][OFFSET:]
        elif not _sines(found.pop(name)):
            raise ZooError(f"{where}: {name} holds other numbers than the sines and cosines that Marian's places are.")
    bias = found.pop(BIAS, torch.zeros(config["target_vocab"], dtype=next(iter(state.values())).dtype))
    return {**found, "lm_head.bias": bias.reshape(-1)}


def _sines(table: Tensor) -> bool:
    if table.ndim != 2 or table.device.type == "meta":
        return table.ndim == 2
    places = sinusoid(torch.arange(len(table), device=table.device), table.shape[1], 10000.0, torch.float64)
    wanted = torch.cat([places[:, 0::2], places[:, 1::2]], -1)
    return torch.allclose(table.double(), wanted, atol=1e-4 if table.dtype != torch.bfloat16 else 1e-2)
