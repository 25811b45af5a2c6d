"""Start from trained weights, whatever they lie in."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from torch import nn

from zoo import construct, packages
from zoo.adapters import merge
from zoo.checked import model as checked
from zoo.config import locate
from zoo.errors import ZooError, one_line
from zoo.models import Model, Preprocess
from zoo.models.base import Origin, Prepared
from zoo.models.factory import with_config
from zoo.models.fit import tokenizers_of, words
from zoo.pretrained import weights
from zoo.pretrained.adapt import Change, adapt_all
from zoo.pretrained.facts import give_tokenizers, other_size
from zoo.pretrained.kinds.base import Source
from zoo.pretrained.loading import load
from zoo.pretrained.sources import described, has_config, open_source, preprocess_of
from zoo.pretrained.trunk import adapt_trunk, around, trunk_for

__all__ = ["Change", "encodings", "initialise", "peek"]

FACTS = ("num_classes", "img_size", "in_chans")
#: The same of series, for models that have such a setting.
OF_SERIES = (
    "channels", "lookback", "horizon", "time_features", "past_covariates", "future_covariates", "static_categories",
    "static_reals",
)  # fmt: skip
EXOGENOUS = OF_SERIES[4:]


def _other(was: Any, now: Any) -> bool:
    return was != now


def _unread(was: Any, now: Any) -> bool:
    return bool(was) and was != now  # what the source does not read may be there


def _more(was: Any, now: Any) -> bool:
    return type(was) is int and now > was  # released models leave room for tokens


def _there(was: Any, now: Any) -> bool:
    return bool(was) is not bool(now)


def _paths(was: Any, now: Any) -> bool:
    return isinstance(was, Mapping) and was.get("metapaths") != now.get("metapaths")


#: What of data cannot be adapted to: setting -> what it counts, and whether the data's is another for the source.
SAME: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "in_dim": ("other features of a node", _other),
    "num_nodes": ("nodes that it knows by number", _other),
    "edge_dim": ("other features of an edge", _unread),
    "num_relations": ("other kinds of edges", _other),
    "metadata": ("other paths between its nodes", _paths),
    "vocab_size": ("a smaller vocabulary", _more),
    "source_vocab": ("a smaller vocabulary of what is read", _more),
    "target_vocab": ("a smaller vocabulary of what is said", _more),
    # Blocks that attend to columns have other norms in other places: those of blocks that do not would land on them.
    **dict.fromkeys(EXOGENOUS, ("other kinds of exogenous columns", _there)),
}
USUAL_HEAD, CONFORMAL = "zoo.models.series.heads.Point", "zoo.models.series.conformal.Conformal"
RATES = ("drop_path", "dropout", "attn_dropout", "head_dropout")


def initialise(
    config: Mapping[str, Any], source: str, facts: Mapping[str, Any], trust: Sequence[str] = ()
) -> tuple[nn.Module, list[Change]]:
    """A model with the weights of `source`, fit for the data.

    Args:
        config: the model's config of the command line. Where the source has a config of its own, that one is built,
            with the rates of dropout and stochastic depth of `config`, and its score, pattern, kernel and position
            where they are not the defaults (what then does not fit the weights is refused); all else is the source's. Of a
            model with a `trunk` of the source's kind, that is the trunk's, and what stands around it is `config`'s and begins
            anew.
        source: whatever `zoo.load` takes; a .safetensors file alone too, which is then of the architecture of `config`.
        facts: num_classes, and `Spec.sizes` of the data; what is left out or None stays as in the source.
        trust: packages of your own that the source's config may name, see `zoo.load`.

    Returns: the model, in training mode, with the source's preprocessing at the new size; and each tensor changed: the
        grid of positions is resampled, the stem summed or repeated over channels, the head (of a GAT without one its last
        layer) reset where classes differ; of forecasters the map to the horizon is reset, and what reads channels or the
        calendar.
    Raises: ZooError for a source that cannot be had or read, or tensors that do not fit (named); for data of another feature
        width, of more tokens, of other relations or exogenous columns (SAME).
    """
    from zoo.config import plain

    config = plain(config)
    told = {key: value for key, value in facts.items() if value is not None}
    facts = {key: value for key, value in told.items() if key in FACTS}
    found = open_source(source, trust=packages.checked(trust))
    if merged := found.adapter is not None:  # begin where it ended
        found = replace(found, state=weights.tensors(merge(load(source, trust))), adapter=None)
    theirs, known = _described(found, packages.checked(trust))
    kind = locate(config["_target_"])
    trunk = trunk_for(kind, known[theirs["_target_"]]) if theirs else None
    if theirs and not trunk:
        _check_reads(kind, known[theirs["_target_"]], source)
        _check_same(theirs, told, source)
    wanted = {**(overlay(theirs, config) if theirs else config), **facts}
    wanted = around(config, trunk, wanted) | facts if trunk else wanted
    wanted |= {key: told[key] for key in OF_SERIES if key in told and key in {**theirs, **config}}
    model: Any = _made(wanted, found, known, trust)
    # For the grids of its positions.
    resized = theirs and any(theirs.get(key) != wanted.get(key) for key in FACTS)
    twin = checked.build(construct.resolve(theirs, lambda name, path: known[name]), source) if resized else None
    if trunk:
        part, state, changes = adapt_trunk(found.state, model, trunk, twin)
    else:
        part, (state, changes) = model, adapt_all(found.state, model, twin)
    weights.fill(part, state, found.weights)
    same_head = found.classes and isinstance(model, Model) and len(found.classes) == model.num_classes
    model.classes = found.classes if same_head else None
    model.preprocess = fit(found.preprocess, wanted)
    give_tokenizers(model, tokenizers_of(found), source)
    model.converted_from = found.converted_from
    beside = {name for name in model.state_dict() if trunk and not name.startswith(f"{trunk.name}.")}
    anew = beside | {change.name for change in changes if change.anew}
    changed = beside | {change.name for change in changes}
    # What was merged or joined here lies nowhere.
    model.origin = Origin(None if merged or trunk else found.origin, frozenset(changed), frozenset(anew))
    return model, changes


def untrained(source: str, changes: Mapping[str, Any], trust: Sequence[str] = ()) -> nn.Module:
    """The model of a source's config, with weights drawn anew.

    Args:
        changes: arguments of the model that differ from the source's.
    Raises: as `initialise`; ZooError for arguments that the model does not take.
    """
    found = open_source(source, trust=packages.checked(trust))
    theirs, known = _described(found, packages.checked(trust))
    if not theirs:
        raise ZooError(f"{source} holds weights, and no config to build a model from.")
    return _made({**theirs, **changes}, found, known, trust)


def _made(
    config: dict[str, Any], found: Source, known: Mapping[str, Callable[..., Any]], trust: Sequence[str]
) -> nn.Module:
    """The model of a source's config and what the command line adds to it.

    What the source's config names was looked up once (`known`); what the command line adds goes by the wider list.
    """
    tree = construct.resolve(config, lambda name, path: known.get(name) or locate(name, path))
    construct.check(tree)
    if known and not found.ours and not trust and all(call.name in known for call in construct.calls(tree)):
        checked.sketch(tree, found.described, checked.Most.of(found.state, times=50))  # at the data's sizes
    return with_config(construct.make(tree), config)


def _check_same(theirs: Mapping[str, Any], told: Mapping[str, Any], source: str) -> None:
    """Refuse data whose inputs mean other things than those that the weights were trained on: nothing adapts to that."""
    for key, (what, differs) in SAME.items():
        if key in theirs and key in told and differs(theirs[key], told[key]):
            was, now = (
                one_line(each.get("metapaths") if isinstance(each, Mapping) else each, 100)
                for each in (theirs[key], told[key])
            )
            raise ZooError(
                f"init={source} was trained on {what}: {key}={was}, and the data has {key}={now}. Its weights mean "
                "those of its own data; take such data, or train anew (init=null)."
            )


def _check_reads(ours: Any, theirs: Any, source: str) -> None:
    """Refuse a source that is for other data than the command line's model: `init=` alone chooses neither."""
    if not set(getattr(ours, "reads", ())) & set(reads := getattr(theirs, "reads", ())) and reads:
        raise ZooError(
            f"init={source} is a {theirs.__name__}, which is for {words(reads)}, and {ours.__name__} is for "
            f"{words(ours.reads)}: name its kind of model too, as model={theirs.__name__.lower()}, and data= for it."
        )


def _described(found: Source, trust: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Callable[..., Any]]]:
    """The source's own config, if it has one, and what each name in it means.

    A conversion made it here; any other came in a file, so it may name only what is declared, and must be of the tensors
    beside it, which is looked at before a model takes memory.
    """
    if found.config is None:
        return {}, {}
    if found.ours:
        tree = construct.resolve(found.config, locate)
    else:
        most = checked.Most.of(found.state)
        tree = checked.resolve(found.config, found.described, most, trust=trust)
        checked.check_shapes(tree, found.state, found.described, most, trust)
    return found.config, {call.name: call.target for call in construct.calls(tree)}


def peek(source: str, config: Mapping[str, Any] | None = None, trust: Sequence[str] = ()) -> dict[str, Any] | None:
    """The fields of Preprocess that a source was trained with, if it tells them; reads no weights, needs no network.

    Args:
        config: of the model that it is for. Where the source is to be its trunk, how large an image is stays open: it is the
            whole's data that say it.
        trust: see `zoo.load`.

    Raises: ZooError for a source that is not there.
    """
    preprocess = preprocess_of(source)
    fields = asdict(preprocess) if preprocess else None
    if fields and config and getattr(whole := locate(config["_target_"]), "trunk", None) and has_config(source):
        theirs, where = described(source)
        tree = checked.resolve(theirs, repr(str(where)), trust=packages.checked(trust))
        if trunk_for(whole, tree.target):
            fields.pop("size", None)
    return fields


def encodings(source: str, trust: Sequence[str] = ()) -> dict[str, int]:
    """What must be computed of each graph for the position of a source's model, {"laplacian": 8}; reads no weights of a folder.

    Raises: ZooError for a source that is not there, or whose config names what may not be built.
    """
    if not has_config(source):
        return {}
    config, where = described(source)
    tree = checked.resolve(config, repr(str(where)), trust=packages.checked(trust))
    found = {}
    for call in construct.calls(tree):
        if encoding := getattr(call.target, "encoding", None):
            what, argument = encoding
            found[what] = call.given.get(argument, inspect.signature(call.target).parameters[argument].default)
    return found


def overlay(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """The source's config with what a command line may change about a trained model."""
    config = theirs | {key: ours[key] for key in RATES if key in ours}
    kind = locate(ours["_target_"])
    usual = dict(getattr(kind, "usual", Model.usual))
    usual_position = usual.pop("position")
    attention = ours.get("attention") or {}
    swapped = {
        key: attention[key] for key, default in usual.items() if key in attention and _target(attention[key]) != default
    }
    if swapped:
        base = {"_target_": "zoo.attention.Attention", "_partial_": True}
        config["attention"] = {**base, **(theirs.get("attention") or {}), **swapped}
    if _target(position := ours.get("position")) not in (None, usual_position):
        config["position"] = position
    return config | of_task(theirs, ours, getattr(kind, "of_task", ()))


def of_task(theirs: Mapping[str, Any], ours: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Settings that a task decides: ours. Of heads the source's where ours is the usual one, without offsets of its quantiles,
    which are of the weights as they were."""
    found = {key: ours.get(key) for key in keys if key in theirs or ours.get(key) is not None}
    if _target(ours.get("head")) in (None, USUAL_HEAD) and theirs.get("head"):
        head = theirs["head"]
        found["head"] = head.get("head") if _target(head) == CONFORMAL else head
    return found


def fit(preprocess: Prepared | None, config: Mapping[str, Any]) -> Prepared | None:
    """The same preprocessing at a model's size and channels (mean and std averaged over other channels).

    That of series or graphs is what it is where the model's sizes are the same; of others there is none.
    """
    if preprocess is None:
        return None
    if not isinstance(preprocess, Preprocess):
        return preprocess if other_size(preprocess, config) is None else None
    size, n = config.get("img_size") or preprocess.size, config.get("in_chans") or preprocess.in_chans
    if not isinstance(size, int):
        if len(set(size)) > 1:
            return None  # a Preprocess is square
        size = size[0]
    return preprocess.at(size, n)


def _target(node: Any) -> Any:
    return node.get("_target_") if isinstance(node, Mapping) else node
