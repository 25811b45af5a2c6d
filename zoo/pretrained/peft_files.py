"""LoRA as the peft library keeps it: adapter_config.json, and tensors under the names of the model that it is for.

    base_model.model.<their module>.lora_A.weight [r, in]        .lora_B.weight [out, r]          W + (alpha / r) B A

Their modules are those of transformers for converted models, ours for all others. Where ours has q, k and v in one matrix and
theirs has three, or the other way round, rows are cut or stacked: parts of one of their matrices become one of summed rank,
B = [[B_q, 0], [0, 0], [0, B_v]], A = [A_q; A_v], which is the same map.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zoo.adapters import Adapter, Piece, named_places
from zoo.adapters.model import adapter_of
from zoo.errors import ZooError
from zoo.pretrained import transformers_names
from zoo.pretrained.peft_config import Settings

PREFIX, A, B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
State = dict[str, Tensor]


class Theirs(NamedTuple):
    """A linear map of theirs. transposed: a Conv1D, whose weight is [in, out]. pieces: (our Linear, our first row, their
    first row, rows), which cover it."""

    name: str
    transposed: bool
    pieces: tuple[tuple[str, int, int, int], ...]

    @property
    def rows(self) -> int:
        return sum(count for *_, count in self.pieces)


def their_maps(model: Any) -> list[Theirs]:
    """The linear maps of a model under the names that its adapters' files have."""
    table = transformers_names.linear_names(model) or []
    found = [Theirs(name, transposed, tuple(pieces)) for name, transposed, pieces in table]
    known = {piece[0] for theirs in found for piece in theirs.pieces}
    ours = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return found + [Theirs(n, False, ((n, 0, 0, m.out_features),)) for n, m in ours.items() if n not in known]


def write(model: Any, own: State) -> tuple[dict[str, Any], State, dict[str, str]]:
    """adapter_config.json and tensors of a model's LoRA.

    Args:
        own: tensors that the file keeps whole, by our names.
    Returns: the config, the tensors, and our name of each of `own` -> its name in the file.
    """
    adapter, state = adapter_of(model), model.state_dict()
    maps, tensors = their_maps(model), State()
    ranks, alphas, transposed = dict[str, int](), dict[str, float](), False
    for theirs in maps:
        parts = _parts(theirs, adapter.pieces)
        if not parts:
            continue
        scale, rank = parts[0][1].scale, sum(piece.rank for _, piece, _ in parts)
        a = [state[f"{linear}.adapters.{piece.name}.a"] for linear, piece, _ in parts]
        b, column = a[0].new_zeros(theirs.rows, rank), 0
        for linear, piece, rows in parts:
            mine = state[f"{linear}.adapters.{piece.name}.b"] * (piece.scale / scale)
            for ours_first, first, count in rows:
                b[first : first + count, column : column + piece.rank] = mine[ours_first : ours_first + count]
            column += piece.rank
        tensors[f"{PREFIX}{theirs.name}{A}"] = torch.cat(a).contiguous()
        tensors[f"{PREFIX}{theirs.name}{B}"] = b
        ranks[theirs.name], alphas[theirs.name] = rank, scale * rank
        transposed |= theirs.transposed
    names = _whole_names(maps)
    kept = {}
    for name in own:
        module, _, last = name.rpartition(".")
        kept[name] = f"{PREFIX}{names.get(module, module)}.{last}"
    tensors |= {kept[name]: tensor.detach().contiguous() for name, tensor in own.items()}
    rank, alpha = Counter(ranks.values()).most_common(1)[0][0], Counter(alphas.values()).most_common(1)[0][0]
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "r": rank,
        "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
        "lora_dropout": adapter.dropout,
        "target_modules": sorted(ranks),
        "rank_pattern": {re.escape(name): value for name, value in ranks.items() if value != rank},
        "alpha_pattern": {re.escape(name): value for name, value in alphas.items() if value != alpha},
        "modules_to_save": sorted({name.removeprefix(PREFIX).rpartition(".")[0] for name in kept.values()}) or None,
        "fan_in_fan_out": transposed,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "inference_mode": True,
    }
    return config, tensors, kept


def read_parts(model: Any, adapter: Adapter, tensors: Mapping[str, Tensor], where: str) -> State:
    """The parts of an adapter whose layout is known, by our names, out of a file that `write` made."""
    found: State = {}
    for theirs in their_maps(model):
        if not (parts := _parts(theirs, adapter.pieces)):
            continue
        a, b = _pair(theirs, tensors, where)
        if a.shape[0] != sum(piece.rank for _, piece, _ in parts):
            raise ZooError(f"{where}: {theirs.name} has rank {a.shape[0]}, its parts another in sum.")
        scale, column = parts[0][1].scale, 0
        for linear, piece, rows in parts:
            columns, inside = slice(column, column + piece.rank), f"{linear}.adapters.{piece.name}"
            mine = found.setdefault(f"{inside}.b", b.new_zeros(piece.stop - piece.start, piece.rank))
            for ours_first, first, count in rows:
                mine[ours_first : ours_first + count] = b[first : first + count, columns] * (scale / piece.scale)
            found[f"{inside}.a"] = a[columns]
            column += piece.rank
    return found


def read(model: Any, config: Any, tensors: Mapping[str, Tensor], where: str) -> tuple[Adapter, State, State]:
    """(adapter, its parts, what is kept whole), by our names, of a folder that peft wrote.

    Raises: ZooError for what is not LoRA as it is here, by key and value, and tensors that belong to nothing.
    """
    settings = Settings.of(config, where)
    maps, labels = their_maps(model), _labels(model)
    left, pieces, parts = dict(tensors), dict[str, list[Piece]](), State()
    for theirs in maps:
        if PREFIX + theirs.name + A not in left and PREFIX + theirs.name + B not in left:
            continue
        a, b = _pair(theirs, left, where)
        del left[PREFIX + theirs.name + A], left[PREFIX + theirs.name + B]
        rank, scale = settings.rank_and_scale(theirs.name)
        if rank != a.shape[0]:
            raise ZooError(f"{where}: {theirs.name} has rank {a.shape[0]} in its tensors, {rank} in its config.")
        for linear in dict.fromkeys(name for name, *_ in theirs.pieces):
            rows = sorted(piece[1:] for piece in theirs.pieces if piece[0] == linear)
            start, stop = rows[0][0], rows[-1][0] + rows[-1][2]
            index = torch.cat([torch.arange(first, first + count) for _, first, count in rows])
            name = labels.get((linear, start, stop), f"rows{start}")
            pieces.setdefault(linear, []).append(Piece(name, start, stop, rank, scale))
            parts[f"{linear}.adapters.{name}.a"], parts[f"{linear}.adapters.{name}.b"] = a, b[index]
    back = {theirs: ours for ours, theirs in _whole_names(maps).items()}
    own, known, strange = State(), model.state_dict(), []
    for name, tensor in left.items():
        module, _, last = name.removeprefix(PREFIX).rpartition(".")
        ours = f"{back.get(module, module)}.{last}"
        if name.startswith(PREFIX) and ours in known and not settings.is_adapter(name):
            own[ours] = tensor
        else:
            strange.append(name)
    if strange or not parts:
        what = f"{strange[0][:200]} belongs" if strange else "its tensors belong"
        raise ZooError(
            f"{where}: {what} to no linear map of this {type(model).__name__}; it is of another model or kind."
        )
    whole = tuple(dict.fromkeys(name.rpartition(".")[0] for name in own))
    layout = {linear: tuple(sorted(found, key=lambda piece: piece.start)) for linear, found in pieces.items()}
    return Adapter("lora", settings.dropout, layout, whole), parts, own


def _parts(
    theirs: Theirs, pieces: Mapping[str, tuple[Piece, ...]]
) -> list[tuple[str, Piece, list[tuple[int, int, int]]]]:
    """(our Linear, part, its rows there) of what lies in one of their maps; rows: (first of the part, theirs, how many)."""
    found: dict[tuple[str, str], tuple[str, Piece, list[tuple[int, int, int]]]] = {}
    for ours, first, their_first, count in theirs.pieces:
        for piece in pieces.get(ours, ()):
            start, stop = max(first, piece.start), min(first + count, piece.stop)
            if start < stop:
                rows = found.setdefault((ours, piece.name), (ours, piece, []))[2]
                rows.append((start - piece.start, their_first + start - first, stop - start))
    return list(found.values())


def _pair(theirs: Theirs, tensors: Mapping[str, Tensor], where: str) -> tuple[Tensor, Tensor]:
    """A [r, in] and B [out, r] of one of their maps."""
    a, b = (tensors.get(PREFIX + theirs.name + end) for end in (A, B))
    if a is None or b is None or a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1] or b.shape[0] != theirs.rows:
        found = " and ".join("none" if each is None else str(list(each.shape)) for each in (a, b))
        raise ZooError(f"{where}: A and B of {theirs.name} are {found}; they are [r, in] and [{theirs.rows}, r].")
    return a, b


def _whole_names(maps: list[Theirs]) -> dict[str, str]:
    """Our Linear -> theirs, where one is the other as it is."""
    alone = {theirs.pieces[0][0]: theirs.name for theirs in maps if len(theirs.pieces) == 1 and not theirs.transposed}
    shared = Counter(piece[0] for theirs in maps for piece in theirs.pieces)
    return {ours: theirs for ours, theirs in alone.items() if shared[ours] == 1}


def _labels(model: Any) -> dict[tuple[str, int, int], str]:
    """What rows are called: by the name of their map, or `all`."""
    whole = {(n, 0, m.out_features): "all" for n, m in model.named_modules() if isinstance(m, nn.Linear)}
    named = {(p.linear, p.start, p.stop): p.part for places in named_places(model).values() for p in places}
    return whole | named
