"""From a model's config and what the data is to the config of a model that fits them, or one sentence why none does."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from typing import Any

from zoo.attention import Pattern, Position, Score
from zoo.config import argument_types, locate
from zoo.errors import ZooError
from zoo.models.base import Model
from zoo.spec import WORDS, Spec


def check_reads(config: Mapping[str, Any], modalities: Sequence[str], data: str = "The data") -> None:
    """Refuse a model, or a part of it, that is for other data; nothing needs to be loaded for that.

    Args:
        config: of the model, with a `_target_`. A class in it that has `reads` is for data of these modalities alone.
        modalities: what the data can be read as.
        data: how the sentence calls them.
    """
    for node in _targets(config):
        kind = _part(node, Model, Score, Pattern, Position)
        if kind is None or not kind.reads:
            continue
        # A model takes all that it reads, as a captioner an image and a text; a part is for any of several.
        whole = issubclass(kind, Model)
        if (set(kind.reads) - set(modalities)) if whole else not set(kind.reads) & set(modalities):
            wanted = words(kind.reads, "and" if whole else "or")
            hint = "take other data=, or another model=" if whole else "take another, or other data="
            raise ZooError(f"{kind.__name__} is for {wanted}, and {data} holds {words(modalities)}; {hint}.")


def fit(config: Mapping[str, Any], spec: Spec, outputs: int) -> dict[str, Any]:
    """The config with what the data decides in place of its nulls.

    Args:
        config: of the model, plain.
        spec: of the data.
        outputs: numbers that the task wants of the model for each row.

    Raises: ZooError for a size that is set and is not the data's, or one that the data does not tell.
    """
    sizes = {**spec.sizes(), "num_classes": outputs}
    open_ = {**sizes, **spec.usual()}
    made = {key: open_.get(key) if value is None else value for key, value in config.items()}
    for key, value in made.items():
        if value and key in sizes and not _same(value, sizes[key]):
            raise ZooError(_refusal(key, value, sizes[key]))
    kind = locate(config["_target_"])
    if isinstance(kind, type) and issubclass(kind, Model):
        kind.check_data(config, spec)
    return complete(
        made, lambda missing: f"model.{missing} must be known, and {words([spec.modality])} do not tell; set it."
    )


def complete(config: dict[str, Any], refusal: Callable[[str], str]) -> dict[str, Any]:
    """The config with what its model decides by the sizes in it. Raises: ZooError, the refusal of what is still open."""
    kind = locate(config["_target_"])
    made = kind.complete(config) if isinstance(kind, type) and issubclass(kind, Model) else config
    hints = argument_types(kind)
    missing = [key for key, value in made.items() if value is None and type(None) not in hints.get(key, {type(None)})]
    if missing:
        raise ZooError(refusal(", ".join(missing)))
    return made


def encodings(config: Mapping[str, Any]) -> dict[str, int]:
    """What of a graph must be computed with the data, since a position of the model reads it: {"laplacian": 8}."""
    found = {}
    for node in _targets(config):
        kind = _part(node, Position)
        if kind is not None and kind.encoding:
            what, argument = kind.encoding
            found[what] = node.get(argument, signature(kind).parameters[argument].default)
    return found


def label(model: Model, spec: Spec) -> None:
    """Let the model know how its inputs were prepared, what its outputs are and what they are called; all is saved with it.

    Raises: ZooError for a tokenizer with more tokens than the model knows.
    """
    model.preprocess = spec.preprocess
    model.tokenizer, model.source_tokenizer = spec.tokenizer, spec.source_tokenizer
    for role, tokenizer in tokenizers_of(model).items():
        check_tokenizer(model, tokenizer, f"The data's {role}", role)
    # A model without outputs of its own beside the vocabulary learned from the texts' tokens, whatever labels they have.
    named = model.num_classes or spec.tokenizer is None
    model.classes, model.targets = (spec.classes or None, spec.targets) if named else (None, "tokens")


#: What a model calls its tokenizers -> its setting that says how many ids there are. A file of a folder is <name>.json.
TOKENIZERS = {"tokenizer": "vocab_size", "source_tokenizer": "source_vocab"}


def tokenizers_of(model: Any) -> dict[str, Any]:
    """The tokenizers of a model by its names for them; one of a model of pairs that has the same for both sides."""
    found = {role: getattr(model, role, None) for role in TOKENIZERS}
    if found["source_tokenizer"] is found["tokenizer"]:
        found["source_tokenizer"] = None
    return {role: tokenizer for role, tokenizer in found.items() if tokenizer is not None}


def check_tokenizer(model: Model, tokenizer: Any, name: str, role: str = "tokenizer") -> None:
    """Raise ZooError where a tokenizer makes ids that a model does not know. Fewer are fine: released models leave room."""
    known = getattr(model, TOKENIZERS[role], None)
    if tokenizer is not None and isinstance(known, int) and tokenizer.vocab_size > known:
        raise ZooError(
            f"{name} has {tokenizer.vocab_size:,} tokens, and this {type(model).__name__} knows {known:,}: take the tokenizer "
            "that it was trained with."
        )


def _part(node: Mapping[str, Any], *kinds: type) -> Any:
    """The class that a node names, if it is of these kinds."""
    found: Any = locate(node["_target_"])
    return found if isinstance(found, type) and issubclass(found, kinds) else None


def _targets(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping with a `_target_`, outermost first."""
    if isinstance(node, Mapping) and "_target_" in node:
        yield node
    for value in node.values() if isinstance(node, Mapping) else node if isinstance(node, list | tuple) else ():
        yield from _targets(value)


def words(modalities: Sequence[str], between: str = "or") -> str:
    return f" {between} ".join(WORDS.get(modality, modality) for modality in modalities)


def _same(value: Any, size: Any) -> bool:
    """Whether a size that was set is the data's: a side stands for a square."""
    return value == size or (isinstance(value, list | tuple) and tuple(value) == (size, size))


def _refusal(key: str, value: Any, size: Any) -> str:
    if key == "num_classes":
        return f"model.num_classes={value}, but the data wants {size} outputs of the model; leave it out."
    if size is None:
        return f"model.{key}={value}, but the data has no such thing; leave it out."
    or_data = f", or set data.{key}={value}" if key in ("img_size", "in_chans") else ""
    return f"model.{key}={value}, but the data has {size}; leave it out{or_data}."
