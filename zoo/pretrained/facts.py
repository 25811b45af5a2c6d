"""What a model folder says beside the model: how inputs were prepared, what outputs are called; checked."""

import dataclasses
import inspect
import unicodedata
from collections.abc import Mapping
from typing import Any

from zoo.declared import strangers
from zoo.errors import ZooError, nearest
from zoo.graphs import GraphPreprocess
from zoo.models import Model
from zoo.models.base import Prepared
from zoo.models.fit import TOKENIZERS, tokenizers_of
from zoo.preprocess import Preprocess
from zoo.series import SeriesPreprocess
from zoo.spec import TARGETS
from zoo.text import Tokenizer
from zoo.text.base import ROLES, target_of

LARGEST = 4096  # pixels of a side: what a wrong number there costs is their square
MODES = ("nearest", "bilinear", "bicubic")
#: What was done to inputs of other kinds than images, by the kind that it says.
KINDS: dict[str, Any] = {"series": SeriesPreprocess, "graph": GraphPreprocess}
FIELDS = tuple(field.name for field in dataclasses.fields(Preprocess))


def preprocess(content: Any, where: str) -> Prepared | None:
    """A preprocessing from its plain fields: of series or graphs where its kind says so, else of images; None for null.

    Raises: ZooError that names the field.
    """
    if content is None:
        return None
    if isinstance(content, dict) and "kind" in content:
        if not isinstance(kind := content["kind"], str) or kind not in KINDS:
            names = " and ".join(sorted(KINDS))
            raise ZooError(
                f"{where}: preprocess.kind={_short(kind)} is unknown; there are {names}, and none of images."
            )
        return KINDS[kind].from_plain(content, where)
    if not isinstance(content, dict) or "size" not in content:
        raise ZooError(f"{where}: preprocess={_short(content)} is not a set of fields with a size; null for none.")
    if unknown := sorted(content.keys() - set(FIELDS)):
        raise ZooError(f"{where}: preprocess.{unknown[0]} is unknown; {nearest(unknown[0], FIELDS)}")
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    made = Preprocess(**fields)
    channels = (made.mean, made.std)
    wrong = (
        {
            "size": type(made.size) is not int or not 1 <= made.size <= LARGEST,
            "in_chans": type(made.in_chans) is not int or not 1 <= made.in_chans <= LARGEST,
            "crop": not _number(made.crop) or not (0 < made.crop <= 1 and made.size / made.crop <= LARGEST),
            "interpolation": made.interpolation not in MODES,
        }
        if type(made.size) is int
        else {"size": True}
    )
    for name, values in zip(("mean", "std"), channels, strict=True):
        right = isinstance(values, tuple) and len(values) == made.in_chans and all(map(_number, values))
        wrong[name] = not right or (name == "std" and min(values) <= 0)
    wrong |= {
        field.name: type(getattr(made, field.name)) is not bool
        for field in dataclasses.fields(Preprocess)
        if field.name not in ("size", "in_chans", "crop", "interpolation", "mean", "std")
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise ZooError(
                f"{where}: preprocess.{name}={_short(getattr(made, name))} is out of range, or of another kind."
            )
    return made


def classes(content: Any, where: str) -> tuple[str, ...] | None:
    """Names of outputs; None for null. Raises: ZooError where they are no list of printable names."""
    if content is None:
        return None
    if not isinstance(content, list) or not all(isinstance(name, str) and len(name) <= 1000 for name in content):
        raise ZooError(f"{where}: classes={_short(content)} is not a list of names; null for none.")
    if wrong := next((name for name in content if any(unicodedata.category(c) == "Cc" for c in name)), None):
        raise ZooError(f"{where}: the class {wrong[:80]!r} holds what moves a terminal's cursor.")
    if half := next((name for name in content if any(unicodedata.category(c) == "Cs" for c in name)), None):
        raise ZooError(f"{where}: the class {half[:80]!r} holds half of a letter, which no file of text can.")
    return tuple(content) or None


def targets(content: Any, where: str) -> str:
    """What outputs are for; of folders that do not say, classes. Raises: ZooError for what is not in `zoo.spec.TARGETS`."""
    if content is None:
        return "class"
    if not isinstance(content, str) or content not in TARGETS:
        raise ZooError(f"{where}: targets={_short(content)} is unknown; there are {', '.join(TARGETS)}.")
    return content


def converted_from(content: Any, where: str) -> str | None:
    """The class of another library that a model was converted from. Raises: ZooError where it is no name."""
    if content is not None and not (isinstance(content, str) and len(content) < 100 and content.isidentifier()):
        raise ZooError(f"{where}: converted_from={_short(content)} is not the name of a class; null for none.")
    return content


def check_agree(model: Any, prepared: Prepared | None, names: tuple[str, ...] | None, where: str) -> None:
    """Refuse preprocessing for other inputs than the model takes, and names for other outputs than it has."""
    if names and isinstance(model, Model) and model.num_classes != len(names):
        raise ZooError(f"{where}: {len(names)} names for the {model.num_classes} classes of {type(model).__name__}.")
    if prepared is None:
        return
    defaults = {name: p.default for name, p in inspect.signature(type(model)).parameters.items()}
    whole = defaults | model.config
    if not isinstance(prepared, Preprocess):
        if (name := other_size(prepared, whole)) is not None:
            value, wanted = prepared.sizes()[name], _short(whole[name])
            raise ZooError(f"{where}: preprocess has {name}={value}, but {type(model).__name__} takes {wanted}.")
        return
    channels, size = whole.get("in_chans"), whole.get("img_size")
    if type(channels) is int and channels != prepared.in_chans:
        raise ZooError(
            f"{where}: preprocess.in_chans={prepared.in_chans}, but {type(model).__name__} takes {channels}."
        )
    if size is not None and prepared.size not in (size if isinstance(size, list | tuple) else [size]):
        raise ZooError(f"{where}: preprocess.size={prepared.size}, but {type(model).__name__} takes {size}.")


def other_size(prepared: SeriesPreprocess | GraphPreprocess, config: Mapping[str, Any]) -> str | None:
    """The first setting of a model's config that is another than the inputs' size; None where all are the same."""
    unread = (None, 0) if isinstance(prepared, GraphPreprocess) else (None,)  # edge_dim=0 leaves out what edges have
    for name, value in prepared.sizes().items():
        wanted = config.get(name)
        if wanted not in unread and (tuple(wanted) if isinstance(wanted, list) else wanted) != value:
            return name
    return None


def roles(content: Any, where: str, name: str = "tokenizer") -> dict[str, Any] | None:
    """Kind and roles of a tokenizer; None for null. Raises: ZooError where they are no name and ids."""
    if content is None:
        return None
    ids = {key: content.get(key) for key in ROLES} if isinstance(content, dict) else {"": content}
    if wrong := next((key for key, id in ids.items() if id is not None and type(id) is not int), None):
        raise ZooError(f"{where}: {name}.{wrong}={_short(ids[wrong])} is not an id; null for none.")
    if "" in ids or not isinstance(content.get("kind"), str) or not content["kind"].isidentifier():
        raise ZooError(f"{where}: {name}={_short(content)} does not tell a kind and ids.")
    return content


def with_kind(tokenizer: Tokenizer, roles: dict[str, Any]) -> Tokenizer:
    """The tokenizer, called what it was called: "bpe", where a file alone says nothing."""
    tokenizer.kind = roles.get("kind") or tokenizer.kind
    return tokenizer


def strangers_in(model: Any) -> list[str]:
    """The packages that `trust` has to name to load a model again: of its parts, its tokenizer, its adapter."""
    adapter = getattr(model, "adapter", None)
    own = [each for each in tokenizers_of(model).values() if type(each).to_json is Tokenizer.to_json]
    named = [{"_target_": target_of(type(each))} for each in own if isinstance(each, Tokenizer)]
    if adapter is not None and "." in adapter.kind:
        named.append({"_target_": adapter.kind})
    return strangers([model.config, *named])


def give_tokenizers(model: Any, tokenizers: Mapping[str, Tokenizer], where: str) -> None:
    """Hand a model its tokenizers. Raises: ZooError for a model of something else than text, or one of fewer tokens.

    A vocabulary may be larger than its tokenizer's: many are filled up to a round number.
    """
    for role, tokenizer in tokenizers.items():
        size = getattr(model, TOKENIZERS[role], None)
        if size is None:
            reads = "text" if role == "tokenizer" else "text of one kind to say another"
            raise ZooError(f"{where}: a {role} for {type(model).__name__}, which does not read {reads}; leave it out.")
        if tokenizer.vocab_size > size:
            raise ZooError(
                f"{where}: the {role} has {tokenizer.vocab_size:,} tokens and the model {size:,}; they are not of each other."
            )
        setattr(model, role, tokenizer)


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e6


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "..."
