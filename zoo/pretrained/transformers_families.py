"""From a config of transformers, a plain mapping, to the plain config of our model that computes the same.

A function for each family; it reads every key of the class by `Options`, which refuses what nobody read. Defaults are those of
transformers' config classes: a config.json leaves out what is as in them.
"""

from collections.abc import Callable
from typing import Any

from zoo.errors import ZooError
from zoo.pretrained import transformers_pairs
from zoo.pretrained.transformers_bert import bert
from zoo.pretrained.transformers_names import FAMILY
from zoo.pretrained.transformers_options import LAYERS, Options, act, part
from zoo.pretrained.transformers_rope import rope

Config = dict[str, Any]

#: Of classification heads, which these classes have not; and a flag that means nothing to what is a decoder anyway.
OTHER_HEADS = ("id2label", "label2id", "num_labels", "problem_type", "classifier_dropout", "is_decoder", "_num_labels")
DECODER = "zoo.models.language.decoder.Decoder"


def gpt2(o: Options) -> Config:
    """GPT2LMHeadModel: learned positions, LayerNorm before each sublayer, biases."""
    dim, context = o.whole("n_embd", 768), o.whole("n_positions", 1024)
    o.only("n_ctx", None, context)  # of old versions: the size of a mask
    o.only("scale_attn_by_inverse_layer_idx", False)
    o.passed_over(*OTHER_HEADS, "n_special", "predict_special_tokens", "summary_type", "summary_use_proj")
    o.passed_over("summary_activation", "summary_proj_to_labels", "summary_first_dropout")
    scaled = o.flag("scale_attn_weights", True)
    score = {"score": part("zoo.attention.Dot")} if not scaled else {}
    return {
        "_target_": "zoo.models.language.gpt.GPT",
        **_sizes(o, context, dim, ("n_layer", 12), ("n_head", 12)),
        "hidden": o.whole("n_inner", None) or 4 * dim,
        "tied": o.flag("tie_word_embeddings", True),
        **({"attention": part("zoo.attention.Attention", **score)} if score else {}),
        "position": part("zoo.attention.Learned"),
        "norm": part("torch.nn.LayerNorm", eps=o.number("layer_norm_epsilon", 1e-5)),
        "feed_forward": part("zoo.layers.FeedForward", act=act(o, "activation_function", "gelu_new")),
        **_biases(True, True, True, False),
        **_rates(o, "resid_pdrop", "attn_pdrop", 0.1, embedded="embd_pdrop"),
    }


def llama(o: Options) -> Config:
    """LlamaForCausalLM: RoPE, RMSNorm, a gated feed-forward."""
    biased = o.flag("attention_bias", False)
    return _gated(o, 1e-6, biases=(biased, biased, o.flag("mlp_bias", False)), context=2048, hidden=11008)


def mistral(o: Options) -> Config:
    """MistralForCausalLM: Llama with a window in every layer."""
    window = o.whole("sliding_window", 4096, null=True)
    made = _gated(o, 1e-6, kv_heads=8, context=4096 * 32, hidden=14336)
    kinds = o.take("layer_types", None)
    if kinds is not None and kinds != ["full_attention" if window is None else "sliding_attention"] * made["depth"]:
        o.refuse("layer_types", kinds, "transformers' own code for this class passes it over")
    return {**made, **_windows([window] * made["depth"])}


def qwen2(o: Options) -> Config:
    """Qwen2ForCausalLM: Llama with biases on queries, keys and values, and windows by layer."""
    made = _gated(o, 1e-6, biases=(True, False, False), kv_heads=32, context=32768, hidden=22016)
    return {**made, **_layers(o, made["depth"])}


def qwen3(o: Options) -> Config:
    """Qwen3ForCausalLM: Llama with norms on queries and keys, and windows by layer."""
    biased = o.flag("attention_bias", False)
    made = _gated(o, 1e-6, biases=(biased, biased, False), kv_heads=32, head_dim=128, context=32768, hidden=22016)
    return {**made, "qk_norm": made["norm"], **_layers(o, made["depth"])}


def gemma(o: Options) -> Config:
    """GemmaForCausalLM: Llama with tanh-GELU, norms that multiply by 1 + weight, embeddings times sqrt(dim)."""
    o.only("use_bidirectional_attention", None, False)
    biased = o.flag("attention_bias", False)
    first, second = o.take("hidden_act", "gelu_pytorch_tanh"), o.take("hidden_activation", None)
    if second not in (None, first, "gelu_pytorch_tanh" if first == "gelu" else None):
        o.refuse("hidden_activation", second, f"hidden_act is {first!r}")
    made = _gated(
        o, 1e-6, biases=(biased, biased, False), kv_heads=16, head_dim=256, tied=True, context=8192, hidden=24576, dim=3072,
        depth=28, heads=16, norm="zoo.layers.CentredRMSNorm", activation="gelu_pytorch_tanh",
    )  # fmt: skip
    if first == "gelu":  # by which the first releases meant its approximation
        made["feed_forward"]["act"] = {"_target_": "torch.nn.GELU", "approximate": "tanh", "_partial_": True}
    return {**made, "_target_": DECODER, "embed_scale": made["dim"] ** 0.5}


def gpt_neox(o: Options) -> Config:
    """GPTNeoXForCausalLM: partial RoPE, LayerNorm, both sublayers on the same input, each behind a norm of its own."""
    for rate in ("attention_probs_dropout_prob", "hidden_dropout_prob"):  # of the released 20B, and of no code
        o.only(rate, None, 0, 0.0)
    biased, made = o.flag("attention_bias", True), _plain(o, 2048, 6144, 44, 64, 24576, "gelu", turned=0.25)
    order = "parallel" if o.flag("use_parallel_residual", True) else "pre_norm"
    return {
        **made,
        "order": part(f"zoo.layers.{order}"),
        **_biases(biased, biased, True, False),
        **_rates(o, "hidden_dropout", "attention_dropout"),
    }


def phi(o: Options) -> Config:
    """PhiForCausalLM: partial RoPE, LayerNorm, both sublayers on the same normalised input, biases everywhere."""
    made = _plain(o, 2048, 2048, 24, 32, 8192, "gelu_new", turned=0.5, kv_heads=True)
    return {
        **made,
        "order": part("zoo.layers.parallel"),
        "shared_norm": True,
        "qk_norm": made["norm"] if o.flag("qk_layernorm", False) else None,
        **_biases(True, True, True, True),
        **_rates(o, "resid_pdrop", "attention_dropout", embedded="embd_pdrop"),
    }


#: class -> what reads its config
READERS: dict[str, Callable[[Options], Config]] = {
    "GPT2LMHeadModel": gpt2,
    "LlamaForCausalLM": llama,
    "MistralForCausalLM": mistral,
    "Qwen2ForCausalLM": qwen2,
    "Qwen3ForCausalLM": qwen3,
    "GemmaForCausalLM": gemma,
    "GPTNeoXForCausalLM": gpt_neox,
    "PhiForCausalLM": phi,
    **{kind: bert(kind) for kind in ("BertModel", "BertForMaskedLM", "BertForSequenceClassification")},
    **dict(transformers_pairs.FAMILIES.values()),
}
#: What ends a text where a config does not say.
DEFAULT_END = {"gpt2": 50256, "llama": 2, "mistral": 2, "gemma": 1, "gpt_neox": 2, "phi": 2, "marian": 0, "bart": 2}


def config_of(config: Any, kind: str | None, where: str) -> tuple[str, Config]:
    """(class, our config) of a config of transformers.

    Args:
        config: the content of config.json.
        kind: the class; None for the one that the config names.
        where: what errors call it.
    Raises: ZooError for another class, and for options that ours does not have, each by name and value.
    """
    o = Options(config, where)
    family, named = o.take("model_type", None), o.take("architectures", None)
    if kind is None:
        if not isinstance(named, list) or len(named) != 1 or not isinstance(named[0], str):
            raise ZooError(f"{where}: architectures={named!r:.80} does not name one class of {', '.join(READERS)}.")
        kind = named[0]
    if kind not in READERS or FAMILY[kind] != family:
        raise ZooError(
            f"{where}: {kind:.80} (model_type={family!r:.80}) is another architecture than those that can be loaded: "
            f"{', '.join(READERS)}."
        )
    made = READERS[kind](o)
    made["end_tokens"] = end_tokens(o.take("eos_token_id", DEFAULT_END.get(family)), where, vocabulary(made))
    o.finish(kind)
    return kind, {key: value for key, value in made.items() if value is not None}


def vocabulary(config: Config) -> int:
    """Of what a model of this config says."""
    return config["target_vocab" if "target_vocab" in config else "vocab_size"]


def generation(given: Any, config: Config, where: str) -> Config:
    """What generation_config.json says that our config holds; it goes before config.json's."""
    if not isinstance(given, dict):
        raise ZooError(f"{where} holds a {type(given).__name__}, no settings.")
    ends = end_tokens(given.get("eos_token_id"), where, vocabulary(config))
    own = transformers_pairs.generation(given, where, vocabulary(config)) if "target_vocab" in config else {}
    return {**own, **({} if ends is None else {"end_tokens": ends})}


def end_tokens(given: Any, where: str, vocab_size: int) -> list[int] | None:
    """eos_token_id as a list of ids; None for none. Ids outside the vocabulary never come up and are left out."""
    ids = given if isinstance(given, list) else [] if given is None else [given]
    if any(type(each) is not int for each in ids) or len(ids) > 1000:
        raise ZooError(f"{where}: eos_token_id={given!r:.80} is neither an id nor a list of ids.")
    return [each for each in dict.fromkeys(ids) if 0 <= each < vocab_size] or None


def _biases(qkv: bool, out: bool, mlp: bool, head: bool) -> Config:
    return {"qkv_bias": qkv, "out_bias": out, "mlp_bias": mlp, "head_bias": head}


def _sizes(o: Options, context: int, dim: int, layers: tuple[str, int], heads: tuple[str, int]) -> Config:
    """Sizes by the names that ours have; layers and heads: a key of theirs and its default."""
    depth, num_heads = o.whole(*layers), o.whole(*heads)
    if depth > LAYERS:
        raise ZooError(f"{o.where}: {layers[0]}={depth} are more layers than any model has.")
    if dim % num_heads and not o.config.get("head_dim"):
        raise ZooError(f"{o.where}: {heads[0]}={num_heads} does not divide a width of {dim}.")
    return {"vocab_size": o.whole("vocab_size"), "context": context, "dim": dim, "depth": depth, "num_heads": num_heads}


def _rates(o: Options, sublayers: str, weights: str, default: float = 0.0, embedded: str | None = None) -> Config:
    """Rates of dropout by the keys that have them."""
    rates = {"dropout": o.rate(sublayers, default), "attn_dropout": o.rate(weights, default)}
    return {**rates, "embed_dropout": o.rate(embedded, default)} if embedded else rates


def _gated(
    o: Options,
    eps: float,
    *,
    context: int,
    hidden: int,
    dim: int = 4096,
    depth: int = 32,
    heads: int = 32,
    biases: tuple[bool, bool, bool] = (False, False, False),
    kv_heads: int | None = None,
    head_dim: int | None = None,
    tied: bool = False,
    norm: str = "torch.nn.RMSNorm",
    activation: str = "silu",
) -> Config:
    """What Llama and those that came of it share; arguments are the defaults of a family."""
    o.passed_over(*OTHER_HEADS)
    context = o.whole("max_position_embeddings", context)
    sizes = _sizes(
        o, context, o.whole("hidden_size", dim), ("num_hidden_layers", depth), ("num_attention_heads", heads)
    )
    width = o.whole("head_dim", head_dim) or sizes["dim"] // sizes["num_heads"]
    return {
        "_target_": "zoo.models.language.llama.Llama",
        **sizes,
        "num_kv_heads": o.whole("num_key_value_heads", kv_heads) or sizes["num_heads"],
        "head_dim": width,
        "hidden": o.whole("intermediate_size", hidden),
        "tied": o.flag("tie_word_embeddings", tied),
        "position": rope(o, context, width),
        "norm": part(norm, eps=o.number("rms_norm_eps", eps)),
        "feed_forward": part("zoo.layers.GatedFeedForward", act=act(o, "hidden_act", activation)),
        **_biases(*biases, False),
        "attn_dropout": o.rate("attention_dropout"),
    }


def _plain(
    o: Options,
    context: int,
    dim: int,
    depth: int,
    heads: int,
    hidden: int,
    activation: str,
    turned: float,
    kv_heads: bool = False,
) -> Config:
    """What GPT-NeoX and Phi share; arguments are the defaults of a family."""
    o.passed_over(*OTHER_HEADS)
    context = o.whole("max_position_embeddings", context)
    sizes = _sizes(
        o, context, o.whole("hidden_size", dim), ("num_hidden_layers", depth), ("num_attention_heads", heads)
    )
    width = sizes["dim"] // sizes["num_heads"]
    o.only("head_dim", None, width)
    return {
        "_target_": DECODER,
        **sizes,
        "num_kv_heads": (o.whole("num_key_value_heads", None) if kv_heads else None) or sizes["num_heads"],
        "hidden": o.whole("intermediate_size", hidden),
        "tied": o.flag("tie_word_embeddings", False),
        "position": rope(o, context, width, turned),
        "norm": part("torch.nn.LayerNorm", eps=o.number("layer_norm_eps", 1e-5)),
        "feed_forward": part("zoo.layers.FeedForward", act=act(o, "hidden_act", activation)),
    }


def _layers(o: Options, depth: int) -> Config:
    """Windows of Qwen: by layer_types, or from layer max_window_layers on."""
    on, size = o.flag("use_sliding_window", False), o.whole("sliding_window", 4096, null=True)
    first, kinds = o.take("max_window_layers", 28), o.take("layer_types", None)
    if type(first) is not int:
        raise ZooError(f"{o.where}: max_window_layers={first!r:.80} is not a whole number.")
    size = size if on else None
    if kinds is None:
        return _windows([size if size and i >= first else None for i in range(depth)])
    if not isinstance(kinds, list) or len(kinds) != depth:
        raise ZooError(f"{o.where}: layer_types={kinds!r:.80} does not say one word for each of {depth} layers.")
    for kind in kinds:
        if kind not in ("full_attention", "sliding_attention") or (kind == "sliding_attention" and not size):
            o.refuse("layer_types", kind, f"with use_sliding_window={on}")
    return _windows([size if kind == "sliding_attention" else None for kind in kinds])


def _windows(sizes: list[int | None]) -> Config:
    """Exactly so many keys, the query's own included (C7): one pattern where all layers have the same."""
    nodes = [None if size is None else {"_target_": "zoo.attention.Window", "size": size} for size in sizes]
    if all(node == nodes[0] for node in nodes):
        return {} if nodes[0] is None else {"pattern": nodes[0]}
    return {"patterns": nodes}
