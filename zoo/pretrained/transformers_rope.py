"""The rotary position of a model of transformers: said by version 5 in one mapping, by version 4 in several keys."""

from typing import Any

from zoo.errors import ZooError
from zoo.pretrained.transformers_options import Options, number

YARN = (
    "factor", "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim",
    "truncate", "finetuned",
)  # fmt: skip
#: rope_type -> what it is made of: the keys that it must have, and those that it may
TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "default": ((), ()),
    "linear": (("factor",), ()),
    "llama3": (("factor", "low_freq_factor", "high_freq_factor"), ("original_max_position_embeddings",)),
    "yarn": ((), YARN),
}
#: Older names of the same
OLD = {"rope_theta": ("rotary_emb_base",), "partial_rotary_factor": ("rotary_pct",)}


def rope(o: Options, context: int, head_dim: int, part: float | None = None) -> dict[str, Any]:
    """RoPE as a node of a config.

    Args:
        context: the config's max_position_embeddings.
        head_dim: width of a head.
        part: the part of it that is turned where nothing is said; None for classes that turn all of it whatever is said.
    Raises: ZooError for what is no mapping of numbers, or says two things at once. What ours has not is refused by `o`.
    """
    given = _mapping(o)
    theta = _once(o, given, "rope_theta", 10000.0)
    share = _once(o, given, "partial_rotary_factor", 1.0 if part is None else part)
    kind = given.pop("rope_type", None) or given.get("type") or "default"
    if given.pop("type", None) not in (None, kind):
        raise ZooError(f"{o.where}: rope_type={kind!r}, and type says otherwise.")
    width = int(head_dim * share)
    if part is None and share != 1.0:
        o.refuse("partial_rotary_factor", share, "transformers' own code for this class passes it over")
    elif not 0 < share <= 1 or width < 2 or width % 2:
        o.refuse("partial_rotary_factor", share, f"it turns {width} of {head_dim} numbers, and they turn in pairs")
    if not theta > 1:
        o.refuse("rope_theta", theta)
    node = {
        "_target_": "zoo.attention.RoPE",
        "_partial_": True,
        "base": theta,
        "halves": True,
        "part": width / head_dim,
    }
    if not isinstance(kind, str) or kind not in TYPES:
        o.refuse("rope_type", kind)
    else:
        scaling = _scaling(o, kind, given, context)
        node["scaling"] = {"type": kind, **scaling} if scaling else None
    return node


def _mapping(o: Options) -> dict[str, Any]:
    """rope_parameters of version 5, or rope_scaling of version 4, without nulls."""
    new, old = o.take("rope_parameters", None), o.take("rope_scaling", None)
    if new and old and new != old:
        raise ZooError(f"{o.where} has rope_parameters and rope_scaling, which differ; keep the one that is meant.")
    given = new or old or {}
    if not isinstance(given, dict):
        raise ZooError(f"{o.where}: rope_parameters={given!r:.80} is not a set of keys.")
    for key, value in given.items():
        if isinstance(value, dict):
            o.refuse(f"rope_parameters.{key}", value, "layers that turn differently")
    return {key: value for key, value in given.items() if value is not None and not isinstance(value, dict)}


def _once(o: Options, given: dict[str, Any], key: str, default: float) -> float:
    """A number that may stand in the mapping or beside it, by either name; not twice with two values."""
    found = {key: given.pop(key)} if key in given else {}
    for name in (key, *OLD.get(key, ())):
        if (value := o.take(name, None)) is not None:
            found[f"{name} beside it"] = value
    values = {name: number(value, name, o.where) for name, value in found.items()}
    if len(set(values.values())) > 1:
        raise ZooError(
            f"{o.where} says {', '.join(f'{name}={value}' for name, value in values.items())}; which is meant?"
        )
    return next(iter(values.values()), default)


def _scaling(o: Options, kind: str, given: dict[str, Any], context: int) -> dict[str, Any]:
    """The numbers of a scaling, with the defaults that transformers computes."""
    must, may = TYPES[kind]
    for key in given.keys() - {*must, *may}:
        o.refuse(f"rope_parameters.{key}", given[key], f"rope_type {kind} does not use it")
    if missing := [key for key in must if key not in given]:
        raise ZooError(f"{o.where}: rope_type={kind} needs {', '.join(missing)}.")
    flags = {key: given[key] for key in ("truncate",) if key in given}
    if any(type(value) is not bool for value in flags.values()):
        raise ZooError(f"{o.where}: rope_parameters.truncate={given['truncate']!r:.80} is neither true nor false.")
    left_out = {"truncate", "finetuned"}
    scaling = {key: number(given[key], key, o.where) for key in (*must, *may) if key in given and key not in left_out}
    if kind in ("llama3", "yarn"):
        length = scaling.setdefault("original_max_position_embeddings", context)
        if kind == "yarn":  # where it is not said, the factor is how much longer the context has become
            scaling.setdefault("factor", context / length if length else 0.0)
    for key, value in scaling.items():
        if value <= 0:
            o.refuse(f"rope_parameters.{key}", value)
    return {**scaling, **flags}
