"""A model with an adapter: put on, told, merged."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from zoo.adapters.linear import AdaptedLinear, adapted, plain
from zoo.adapters.parts import Part, kind_of, part_of
from zoo.adapters.places import find_places
from zoo.attention.record import strip_wrappers
from zoo.errors import ZooError, nearest

M = TypeVar("M", bound=nn.Module)
INSIDE = ".adapters."


@dataclass(frozen=True)
class Piece:
    """A part of an adapter: rows start:stop of a Linear, the rank, and the factor on what is added."""

    name: str
    start: int
    stop: int
    rank: int
    scale: float


@dataclass(frozen=True)
class Adapter:
    """What `model.adapter` tells: where the parts are, and which modules are the adapter's own as a whole (a new head).

    kind: see `Part.kind`. dropout: of what a part reads. pieces: name of a Linear -> its parts. whole: names of modules that
    train beside them. frozen: names of the parameters that trained before, and do again once the adapter is merged.
    """

    kind: str
    dropout: float
    pieces: dict[str, tuple[Piece, ...]]
    whole: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()


def adapt(
    model: M,
    kind: str | type[Part] = "lora",
    *,
    rank: int = 8,
    alpha: float | None = None,
    targets: Sequence[str] | None = None,
    dropout: float = 0.0,
    train: Sequence[str] | None = None,
) -> M:
    """Freeze a model and put a small trainable part beside some of its linear maps.

        y = W x + b + (alpha / rank) B A x                       lora: Hu et al. 2022
        y = z + (alpha / rank) (B GELU(A z + c) + d), z = W x + b        bottleneck: Houlsby et al. 2019

    B and d start at 0: the outputs are what they were until it is trained. In training the backbone stays bit for bit.

    Args:
        model: it is changed in place; the names of its own tensors stay.
        kind: "lora", "bottleneck", or a `Part` of one's own: the class or its dotted name.
        rank: width of the part, r.
        alpha: default 16 for lora, and rank for bottleneck, whose paper has no factor.
        targets: maps by their usual names, `q k v o up gate down`, also where several lie in one matrix; or patterns of names
            of Linears (`*.fc1`). Default q and v for lora (Hu et al., section 7.1), o and down for bottleneck: behind each
            sublayer, as in its paper.
        dropout: rate, of what a part reads, in training.
        train: names of modules that are trained beside it. Default: a classifier at the end, and what `init=` started anew.

    Returns: the model; `model.adapter` tells what it has.
    Raises: ZooError for an unknown kind, numbers out of range, targets that match nothing (with what there is), a model
        that has an adapter already.
    """
    whole_model, model = model, plain_of(model)
    part = part_of(kind, str(kind)) if isinstance(kind, type) else kind_of(kind)
    if getattr(model, "adapter", None) is not None:
        raise ZooError(f"This {type(model).__name__} has an adapter already: zoo.merge(model) makes it a part of it.")
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise ZooError(f"adapter.rank={rank!r} is not a whole number from 1 on.")
    alpha = part.alpha(rank) if alpha is None else alpha
    if not (_number(alpha) and 0 < alpha < math.inf):
        raise ZooError(f"adapter.alpha={alpha!r} is not a positive number.")
    if not (_number(dropout) and 0 <= dropout < 1):
        raise ZooError(f"adapter.dropout={dropout!r} is not within [0, 1).")
    modules = dict(model.named_modules())
    whole = own_modules(model) if train is None else tuple(train)
    if unknown := [name for name in whole if name not in modules or not name]:
        raise ZooError(f"train={unknown[0]!r} is not a module of this model; {nearest(unknown[0], modules)}")
    pieces: dict[str, tuple[Piece, ...]] = {}
    for place in find_places(model, part.targets if targets is None else targets):
        if not _inside(place.linear, whole):
            piece = Piece(place.part, place.start, place.stop, rank, alpha / rank)
            pieces[place.linear] = (*pieces.get(place.linear, ()), piece)
    if not pieces:
        raise ZooError(
            f"adapter.targets={targets} means only what is trained as a whole: {', '.join(whole)}; add others."
        )
    put(model, Adapter(part.kind, float(dropout), pieces, whole))
    return whole_model


def put(model: M, adapter: Adapter) -> M:
    """Put an adapter of this layout on a model, as `adapt` does. Its places must be there: `adapt` has looked for them, what
    came in a file was compared (zoo.adapters.record)."""
    modules = dict(model.named_modules())
    frozen = tuple(name for name, parameter in model.named_parameters() if parameter.requires_grad)
    model.requires_grad_(False)
    for name, pieces in adapter.pieces.items():
        linear = cast(nn.Linear, modules[name])
        adapted(linear, [(p.name, p.start, p.stop, _part(adapter, linear, p)) for p in pieces])
    for name in adapter.whole:
        modules[name].requires_grad_(True)
    cast(Any, model).adapter = Adapter(adapter.kind, adapter.dropout, adapter.pieces, adapter.whole, frozen)
    return model


def merge(model: M) -> M:
    """Make the adapter a part of the weights, W + (alpha / rank) B A: a plain model of its size and speed, in place.

    Returns: the model, whose outputs differ by rounding; all that trained before the adapter does again.
    Raises: ZooError for a model without one, for a bottleneck, which is no linear map, and for a matrix that is another
        module's too (a head tied to the embeddings), whose outputs the sum would change (docs/criteria.md, C11).
    """
    whole_model, model = model, plain_of(model)
    adapter = adapter_of(model)
    if not hasattr(kind_of(adapter.kind), "delta"):
        raise ZooError(
            f"A {adapter.kind} is not linear, so it cannot be merged; keep it beside the model (zoo.save_adapter)."
        )
    modules = dict(model.named_modules())
    holders: dict[int, list[str]] = {}
    for name, module in modules.items():
        for parameter in module.parameters(recurse=False):
            holders.setdefault(id(parameter), []).append(name)
    for name in adapter.pieces:
        if len(names := holders[id(cast(nn.Linear, modules[name]).weight)]) > 1:
            others = ", ".join(other for other in names if other != name)
            raise ZooError(
                f"The weight of {name} is that of {others} too, so a merged adapter would change both: untie them, as "
                f"model.{name}.weight = torch.nn.Parameter(model.{name}.weight.detach().clone()), or keep the adapter."
            )
    for name in adapter.pieces:
        linear = cast(AdaptedLinear, modules[name])
        with torch.no_grad():
            for part_name, (start, stop) in linear.rows.items():
                rows, part = linear.weight[start:stop], cast(Any, linear.adapters[part_name])
                rows.copy_(rows.double() + part.delta())
        plain(linear)
    for name, parameter in model.named_parameters():
        if name in adapter.frozen:
            parameter.requires_grad_(True)
    cast(Any, model).adapter = None
    return whole_model


def plain_of(model: M) -> M:
    """The model inside what torch.compile(model) makes of it."""
    return getattr(model, "_orig_mod", model)


# ---- what of a model is the adapter's, and what the base's


def adapter_of(model: nn.Module) -> Adapter:
    """`model.adapter`. Raises: ZooError where there is none."""
    found = getattr(model, "adapter", None)
    if found is None:
        raise ZooError(f"This {type(model).__name__} has no adapter; zoo.adapt(model, 'lora') gives it one.")
    return found


def own_names(model: nn.Module, names: Iterable[str]) -> list[str]:
    """Of names in the model's state dict those that are not the base's: the adapter, what trains as a whole, and what was
    changed to fit other data (`model.origin.changed`)."""
    whole, origin = adapter_of(model).whole, getattr(model, "origin", None)
    changed = origin.changed if origin is not None else frozenset()
    return [name for name in names if INSIDE in name or name in changed or _inside(name, whole)]


def base_hash(model: nn.Module) -> str:
    """SHA-256 of the base's tensors: names, dtypes, shapes and numbers, those of `own_names` left out."""
    state = {strip_wrappers(name): tensor for name, tensor in model.state_dict().items()}
    mine = set(own_names(model, state))
    return hash_of({name: tensor for name, tensor in state.items() if name not in mine})


def hash_of(state: dict[str, Tensor]) -> str:
    """SHA-256 over tensors by their names."""
    total = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        numbers: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        total.update(numbers)
    return total.hexdigest()


def stay_in_eval(model: nn.Module) -> None:
    """Modules that count statistics of what they see (batch norm) to eval mode: they belong to the backbone."""
    for name, module in model.named_modules():
        if getattr(module, "track_running_stats", False) and not _inside(name, adapter_of(model).whole):
            module.eval()


def trained(model: nn.Module) -> tuple[int, int]:
    """Numbers that train, and all."""
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters)


def own_modules(model: nn.Module) -> tuple[str, ...]:
    """Names of what trains beside a frozen model: the classifier, and what `init=` started anew, the largest modules of it."""
    head, origin = getattr(model, "linear_head", None), getattr(model, "origin", None)
    new = origin.new if origin is not None else frozenset()
    found = [name for name, module in model.named_modules() if head is not None and module is head]
    for name, module in model.named_modules():
        held = [f"{name}.{each}" for each, _ in module.named_parameters(remove_duplicate=False)]
        if name and held and new.issuperset(held) and not _inside(name, found):
            found.append(name)
    alone = (name.rpartition(".")[0] for name in sorted(new) if "." in name and not _inside(name, found))
    return tuple(dict.fromkeys([*found, *alone]))


def _inside(name: str, modules: Iterable[str]) -> bool:
    """Whether a tensor or module is one of these modules, or in it."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _part(adapter: Adapter, linear: nn.Linear, piece: Piece) -> Part:
    with torch.device(linear.weight.device):
        return kind_of(adapter.kind)(
            linear.in_features, piece.stop - piece.start, piece.rank, piece.scale, adapter.dropout
        )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
