"""BERT's options, and those of its three classes: bare, with the head that fills masks, with a classifier."""

from collections.abc import Callable, Mapping
from typing import Any

from zoo.errors import ZooError, printable
from zoo.pretrained.transformers_options import LAYERS, Options, act, part

#: What problem_type says of the targets.
TARGETS = {"single_label_classification": "class", "multi_label_classification": "labels", "regression": "numbers"}
LABELS = ("id2label", "label2id", "num_labels", "problem_type", "classifier_dropout", "_num_labels")
#: Old Chinese BERTs' words for the pooler that all have.
POOLER = (
    "directionality",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
)


def bert(kind: str) -> Callable[[Options], dict[str, Any]]:
    """What reads the config of a class: BertModel, BertForMaskedLM or BertForSequenceClassification."""

    def read(o: Options) -> dict[str, Any]:
        o.only("is_decoder", False, None)
        o.only("position_embedding_type", "absolute", None)
        o.only("pooler_type", None, "first_token_transform")
        o.passed_over(*POOLER, *LABELS)
        dim, depth, heads = (
            o.whole("hidden_size", 768), o.whole("num_hidden_layers", 12), o.whole("num_attention_heads", 12)
        )  # fmt: skip
        if dim % heads or depth > LAYERS:
            raise ZooError(
                f"{o.where}: num_attention_heads={heads}, hidden_size={dim}, num_hidden_layers={depth} cannot be."
            )
        rate = o.rate("hidden_dropout_prob", 0.1)
        made = {
            "_target_": "zoo.models.language.bert.BERT",
            **dict(
                vocab_size=o.whole("vocab_size"), context=o.whole("max_position_embeddings", 512), dim=dim, depth=depth
            ),
            **dict(num_heads=heads, hidden=o.whole("intermediate_size", 3072), segments=o.whole("type_vocab_size", 2)),
            "tied": o.flag("tie_word_embeddings", True),
            "token_head": kind == "BertForMaskedLM",
            "pooler": True if kind == "BertForSequenceClassification" else None,  # None: with a classifier
            "norm": part("torch.nn.LayerNorm", eps=o.number("layer_norm_eps", 1e-12)),
            "act": act(o, "hidden_act", "gelu"),
            "dropout": rate,
            "attn_dropout": o.rate("attention_probs_dropout_prob", 0.1),
        }
        if kind == "BertForSequenceClassification":
            own = o.take("classifier_dropout", None)
            made["head_dropout"] = rate if own is None else o.rate("classifier_dropout")
            made["num_classes"] = len(_names(o.config, o.where))
        return made

    return read


def with_pooler(kind: str, config: dict[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a bare BERT, of which its tensors alone say whether it has a pooler."""
    return {**config, "pooler": True} if kind == "BertModel" and "pooler.weight" in state else config


def labels(config: Mapping[str, Any], ours: Mapping[str, Any], where: str) -> tuple[tuple[str, ...] | None, str]:
    """(names of the classes, where somebody has given them any; what the outputs are for) of a config of transformers."""
    if not ours.get("num_classes"):
        return None, "class"
    names = _names(config, where)
    kind = config.get("problem_type") or ("regression" if len(names) == 1 else "single_label_classification")
    if not isinstance(kind, str) or kind not in TARGETS:
        raise ZooError(f"{where}: problem_type={kind!r:.80} is unknown; there are {', '.join(TARGETS)}.")
    given = any(name != f"LABEL_{i}" for i, name in enumerate(names))
    return (tuple(map(printable, names)) if given and kind != "regression" else None), TARGETS[kind]


def _names(config: Mapping[str, Any], where: str) -> list[str]:
    """id2label in order; without one, num_labels names, of which two are the default."""
    given = config.get("id2label")
    if given is None:
        count = config.get("num_labels", 2)
        if type(count) is not int or not 1 <= count <= 100_000:
            raise ZooError(f"{where}: num_labels={count!r:.80} is not a number of classes.")
        return [f"LABEL_{i}" for i in range(count)]
    names: list[Any] = [given.get(str(i)) for i in range(len(given))] if isinstance(given, dict) else []
    if not names or not all(isinstance(name, str) and len(name) <= 1000 for name in names):
        raise ZooError(f"{where}: id2label={given!r:.80} does not name its classes from 0 on.")
    return names
