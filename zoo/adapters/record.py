"""What config.json and checkpoints tell of an adapter: its parts, and its base by name and hash. Checked as a file's word."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo import catalog
from zoo.adapters.model import Adapter, Piece, base_hash, hash_of, put
from zoo.adapters.parts import KINDS, kind_of, part_of
from zoo.attention.linear import is_linear
from zoo.attention.maps import NAMES
from zoo.checked.fits import with_tied
from zoo.checked.tensors import check_numbers
from zoo.declared import find
from zoo.errors import ZooError, nearest

#: Names of parts: maps of those names (several that are one map side by side), all rows, or rows from a number on.
PART = re.compile(rf"(?:{'|'.join(NAMES)}){{1,7}}|all|rows\d{{1,9}}", re.ASCII)


@dataclass(frozen=True)
class Base:
    """What an adapter belongs to. name: of its folder or model. source: where it lay, from the folder of the adapter on; None
    where it lies beside. hash: SHA-256 of its tensors (`zoo.adapters.base_hash`)."""

    name: str | None
    source: str | None
    hash: str


@dataclass(frozen=True)
class Record:
    """tensors: our name of each tensor that the adapter's file keeps whole -> its name there."""

    adapter: Adapter
    base: Base
    tensors: Mapping[str, str]


def base_of(model: Any) -> Base:
    """What the model was before its adapter: name and place as they were given, and the hash."""
    source = model.origin.source if model.origin is not None else None
    if source is None:
        return Base(None, None, base_hash(model))
    head, _, path = split(source)
    return Base(head or Path(path).resolve().name, source, base_hash(model))


def split(source: str) -> tuple[str, str, str]:
    """timm://name@file -> ("timm://name", "@", "file"); a name of a zoo or an address -> (itself, "", ""); a path -> ("", "",
    path)."""
    if source.startswith("timm://"):
        return source.partition("@")
    return (source, "", "") if catalog.is_address(source) or catalog.is_name(source) else ("", "", source)


def to_plain(record: Record) -> dict[str, Any]:
    """The record as JSON has it."""
    adapter = record.adapter
    pieces = {name: [asdict(piece) for piece in pieces] for name, pieces in adapter.pieces.items()}
    plain = {"kind": adapter.kind, "dropout": adapter.dropout, "whole": list(adapter.whole), "pieces": pieces}
    return {**plain, "tensors": dict(record.tensors), "base": asdict(record.base)}


def from_plain(content: Any, where: str, trust: tuple[str, ...] = ()) -> Record:
    """The record of a file.

    Args:
        trust: packages whose kinds of adapter it may name, see `zoo.load`.
    Raises: ZooError that names the field that is of another kind, or out of range.
    """
    take, pieces = partial(_take, where), {}
    for name, parts in take(content, "pieces", dict, bool).items():
        if not isinstance(parts, list) or not parts:
            raise ZooError(f"{where}: adapter.pieces of {name[:80]} is no list of parts.")
        pieces[name] = tuple(
            Piece(
                take(part, "name", str, PART.fullmatch),
                take(part, "start", int, lambda start: start >= 0),
                take(part, "stop", int, lambda stop: stop > 0),
                take(part, "rank", int, lambda rank: rank > 0),
                float(take(part, "scale", (int, float), lambda scale: 0 < scale < 1e9)),
            )
            for part in parts
        )
    whole = take(content, "whole", list, lambda names: all(isinstance(name, str) for name in names))
    tensors = take(content, "tensors", dict, lambda names: all(isinstance(name, str) for name in names.values()))
    kind = take(content, "kind", str)
    if kind not in KINDS:
        if "." not in kind:
            raise ZooError(f"{where}: adapter.kind={kind[:80]!r} is unknown; {nearest(kind[:80], KINDS)}")
        kind = part_of(find(kind, "model", f"{where}: adapter.kind", trust), kind).kind
    dropout = float(take(content, "dropout", (int, float), lambda rate: 0 <= rate < 1))
    return Record(Adapter(kind, dropout, pieces, tuple(whole)), base_from(content, where), tensors)


def base_from(content: Any, where: str) -> Base:
    """Of the record of a file what it belongs to. Raises: as `from_plain`."""
    take, none = partial(_take, where), type(None)
    base = take(content, "base", dict)
    return Base(
        take(base, "name", (str, none)),
        take(
            base,
            "source",
            (str, none),
            lambda source: source is None or (0 < len(source) < 4096 and "\0" not in source),
        ),
        take(base, "hash", str, re.compile(r"[0-9a-f]{64}").fullmatch),
    )


def _take(where: str, node: Any, field: str, kind: Any, right: Any = lambda value: True) -> Any:
    value = node.get(field) if isinstance(node, dict) else None
    if type(value) not in (kind if isinstance(kind, tuple) else (kind,)) or not right(value):
        raise ZooError(f"{where}: adapter.{field}={repr(value)[:80]} is out of range, or of another kind.")
    return value


def shapes(model: nn.Module, adapter: Adapter, where: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of an adapter's parts on a model, which is not changed.

    Raises: ZooError where the model has no such maps or rows.
    """
    modules, found = dict(model.named_modules()), dict[str, tuple[int, ...]]()
    if wrong := [name for name in adapter.whole if not name or name not in modules]:
        raise ZooError(f"{where}: {wrong[0][:80]!r} is no module of this {type(model).__name__}.")
    for name, pieces in adapter.pieces.items():
        linear, at = modules.get(name), 0
        if not is_linear(linear):
            raise ZooError(
                f"{where}: {name[:80]!r} is no linear map of this {type(model).__name__}; it is of another model."
            )
        if any(name == whole or name.startswith(f"{whole}.") for whole in adapter.whole):
            raise ZooError(f"{where}: {name[:80]!r} is both adapted and kept as a whole.")
        for piece in sorted(pieces, key=lambda piece: piece.start):
            if not at <= piece.start < piece.stop <= linear.out_features:
                raise ZooError(
                    f"{where}: rows {piece.start}:{piece.stop} of {name} ({linear.out_features} rows) are not there, or twice."
                )
            rows, at = piece.stop - piece.start, piece.stop
            inside = f"{name}.adapters.{piece.name}"
            sizes = kind_of(adapter.kind).shapes(linear.in_features, rows, piece.rank)
            found |= {f"{inside}.{tensor}": shape for tensor, shape in sizes.items()}
    return found


def join(
    model: Any,
    adapter: Adapter,
    parts: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    where: str,
    base: Base | None = None,
) -> None:
    """Put an adapter of a file on a model, whose own tensors are compared first; nothing is changed before all fits.

    Args:
        parts: tensors of the adapter's parts, by our names.
        own: tensors of the model that are the adapter's: modules that are kept as a whole, what was fitted to other data.
        base: what it belongs to; None: nobody has told, or asks.
    Raises: ZooError for tensors that do not fit, NaN among them, and an adapter of another base.
    """
    if model.adapter is not None:
        raise ZooError(f"This {type(model).__name__} has an adapter already; zoo.merge(model) makes it a part of it.")
    state, own = model.state_dict(), with_tied(model, own)
    wanted = shapes(model, adapter, where)
    wanted |= {
        n: tuple(t.shape) for n, t in state.items() if n in own or any(n.startswith(f"{w}.") for w in adapter.whole)
    }
    given = {**parts, **own}
    wrong = [f"{name} is missing" for name in wanted if name not in given]
    wrong += [f"{name[:200]} is nothing that the model has" for name in given if name not in wanted]
    wrong += [
        f"{name} is {list(given[name].shape)} there, {list(shape)} here"
        for name, shape in wanted.items()
        if name in given and (tuple(given[name].shape) != shape or not given[name].is_floating_point())
    ]
    if wrong:
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise ZooError(f"{where} does not fit this {type(model).__name__}: {'; '.join(wrong[:4])}{more}.")
    if base is not None and (found := hash_of({n: t for n, t in state.items() if n not in own})) != base.hash:
        raise ZooError(
            f"{where} is an adapter of another base: of {base.name or 'a model'} (sha256 {base.hash[:12]}), and this "
            f"{type(model).__name__}'s is {found[:12]}. Give the model that it was trained on."
        )
    check_numbers(dict(given), where)
    put(model, adapter)
    state = model.state_dict()
    with torch.no_grad():
        for name, tensor in given.items():
            state[name].copy_(tensor)
