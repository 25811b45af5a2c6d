"""A recurrent encoder and what recurrent decoders share: cells, states, the model around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from zoo.attention import Attention, IdentityQKV, JoinHeads, Linear, Memory, Pattern, build
from zoo.attention.ops.product import linear
from zoo.errors import ZooError, nearest, one_line
from zoo.models.pairs.base import PairModel

#: A GRU's states (h,), an LSTM's (h, c), [depth, B, dim] each.
Hidden = tuple[Tensor, ...]
CELLS: dict[str, type[nn.RNNBase]] = {"gru": nn.GRU, "lstm": nn.LSTM}


def make_cells(cell: str, in_dim: int, dim: int, depth: int, dropout: float = 0.0, **how: Any) -> nn.RNNBase:
    """Recurrent layers. Raises: ZooError for an unknown cell or sizes below 1."""
    if cell not in CELLS:
        raise ZooError(f"model.cell={one_line(cell, 80)} is unknown; {nearest(str(cell), CELLS)}")
    if min(dim, depth) < 1:
        raise ZooError(f"model.dim={dim} and model.depth={depth} are sizes of a recurrent network; give 1 or more.")
    kind: Any = CELLS[cell]
    return kind(in_dim, dim, depth, batch_first=True, dropout=dropout if depth > 1 else 0.0, **how)


def run_cells(cells: nn.RNNBase, x: Any, hidden: Hidden | None = None) -> tuple[Any, Hidden]:
    """x [B, N, in_dim] and states -> outputs [B, N, dim] and states."""
    given: Any = hidden if hidden is None or isinstance(cells, nn.LSTM) else hidden[0]
    out, after = cells(x, given)
    return out, after if isinstance(after, tuple) else (after,)


class Walk:
    """Cells along a target, step by step, where each step is fed something that the one before has made.

    What the tokens give the gates waits for nothing, so it is one product for all steps; a step adds W c of what it is fed:

        W [y_t; c] + b = (W_y y_t + b) + W_c c

    Args:
        cells: recurrent layers that read a token and something beside it.
        x: tokens [B, T, dim].
        hidden: states to go on from.
    """

    def __init__(self, cells: nn.RNNBase, x: Tensor, hidden: Hidden):
        self.cells, self.cell = cells, STEPS[type(cells)]
        first: Any = cells  # whose matrices torch names as it makes them
        weight: Tensor = first.weight_ih_l0
        own, fed = weight.split([x.shape[-1], weight.shape[1] - x.shape[-1]], 1)
        self.tokens = iter(linear(x, own, first.bias_ih_l0).unbind(1))
        self.fed = fed.contiguous()  # once, not at each step
        self.layers = list(zip(*(each.unbind(0) for each in hidden), strict=True))

    @property
    def top(self) -> Tensor:
        """The last layer's state, [B, dim]."""
        return self.layers[-1][0]

    @property
    def hidden(self) -> Hidden:
        """All states, as they were given."""
        return tuple(torch.stack(each) for each in zip(*self.layers, strict=True))

    def step(self, fed: Tensor) -> Tensor:
        """The next token, and [B, F] beside it -> [B, dim], the last layer's state."""
        gates = next(self.tokens) + linear(fed, self.fed)
        for i, state in enumerate(self.layers):
            if i:
                below = F.dropout(self.layers[i - 1][0], self.cells.dropout, self.cells.training)
                gates = linear(below, getattr(self.cells, f"weight_ih_l{i}"), getattr(self.cells, f"bias_ih_l{i}"))
            own = linear(state[0], getattr(self.cells, f"weight_hh_l{i}"), getattr(self.cells, f"bias_hh_l{i}"))
            self.layers[i] = self.cell(gates, own, *state)
        return self.top


def gru_step(gates: Tensor, own: Tensor, h: Tensor) -> Hidden:
    """What the input [B, 3 D] and the state [B, 3 D] give the gates r, z, n -> h = (1 - z) n + z h, as torch.nn.GRU."""
    D = h.shape[-1]
    (rz, n), (own_rz, own_n) = (each.split([2 * D, D], -1) for each in (gates, own))
    r, z = torch.sigmoid(rz + own_rz).chunk(2, -1)
    n = torch.tanh(torch.addcmul(n, r, own_n))
    return (torch.lerp(n, h.to(n.dtype), z),)


def lstm_step(gates: Tensor, own: Tensor, h: Tensor, c: Tensor) -> Hidden:
    """Likewise for i, f, g, o [B, 4 D] -> c = f c + i g, h = o tanh(c), as torch.nn.LSTM."""
    i, f, g, o = (gates + own).chunk(4, -1)
    c = torch.addcmul(torch.sigmoid(f) * c, torch.sigmoid(i), torch.tanh(g))
    return torch.sigmoid(o) * torch.tanh(c), c


STEPS: dict[type[nn.RNNBase], Callable[..., Hidden]] = {nn.GRU: gru_step, nn.LSTM: lstm_step}


class RecurrentEncoder(nn.Module):
    """Both directions over a sentence: h_j = [h_j forward; h_j backward]. Bahdanau et al. 2015, section 3.2.

    Args:
        vocab: ids are below it.
        dim: width of embeddings and of h_j; each direction has half of it.
        depth: layers.
        cell: "gru" or "lstm".
        dropout: on embeddings and between layers.

    Raises: ZooError for an odd dim.
    """

    def __init__(self, vocab: int, dim: int, depth: int = 1, cell: str = "gru", dropout: float = 0.0):
        super().__init__()
        if dim % 2:
            raise ZooError(
                f"model.dim={dim} is odd, and each direction of the encoder has half of it: give an even one."
            )
        self.embed = nn.Embedding(vocab, dim)
        self.drop = nn.Dropout(dropout)
        self.cells = make_cells(cell, dim, dim // 2, depth, dropout, bidirectional=True)

    def forward(self, source: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Hidden]:
        """[B, S] -> (h [B, S, dim], 0 in padding; the last states of both directions side by side, [depth, B, dim])."""
        x = self.drop(self.embed(source))
        if lengths is None:
            out, hidden = run_cells(self.cells, x)
        else:
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            out, hidden = run_cells(self.cells, packed)
            out = pad_packed_sequence(out, batch_first=True, total_length=source.shape[1])[0]
        return out, tuple(each.unflatten(0, (-1, 2)).transpose(1, 2).flatten(2) for each in hidden)


@dataclass(frozen=True, eq=False)
class Read:
    """What a recurrent encoder gives: the last states, and what attention looks at (None: nothing)."""

    last: Hidden
    seen: Memory | None = None

    def select(self, index: Tensor) -> Read:
        """Sentence i is what sentence index[i] was."""
        seen = None if self.seen is None else self.seen.select(index)
        return Read(tuple(each.index_select(1, index) for each in self.last), seen)

    def repeat(self, n: int) -> Read:
        """For n rows a sentence: each begins where it ended."""
        seen = None if self.seen is None else self.seen.repeat(n)
        return Read(tuple(each.repeat_interleave(n, 1) for each in self.last), seen)


@dataclass(frozen=True, eq=False)
class Steps:
    """Where a recurrent decoder stands: its states, how many tokens it has read, what it said last (Luong's input feeding)."""

    hidden: Hidden
    place: int = 0
    said: Tensor | None = None

    def reorder(self, index: Tensor) -> Steps:
        """Row i goes on from where row index[i] stood."""
        said = None if self.said is None else self.said.index_select(0, index)
        return replace(self, hidden=tuple(each.index_select(1, index) for each in self.hidden), said=said)


class RecurrentDecoder(nn.Module):
    """Base class: `begin` says where it starts, `forward` reads tokens from there on."""

    #: Whether it goes along a target step by step, so that its own tokens may be fed in between.
    stepping: bool = False

    def remember(self, states: Tensor, last: Hidden, lengths: Tensor | None) -> Read:
        """What it will need of a source."""
        return Read(last)

    def begin(self, read: Read) -> Steps:
        """Before the first token."""
        raise NotImplementedError(f"{type(self).__name__} is a decoder without `begin`: define it.")

    def forward(self, x: Tensor, read: Read, state: Steps) -> tuple[Tensor, Steps]:
        """Embedded tokens [B, T, dim] -> (features [B, T, dim], where it stands then)."""
        raise NotImplementedError(f"{type(self).__name__} is a decoder without `forward`: define it.")


class LookingDecoder(RecurrentDecoder):
    """A decoder with one attention, of one head, on the encoder's states as they are.

    Args:
        dim: width of its queries and of the encoder's states.
        attention: factory of the attention.
        score: its score where the factory has chosen none.

    Raises: ZooError for a causal pattern: a source is there as a whole.
    """

    def __init__(self, dim: int, attention: Callable[..., nn.Module] | None, score: Any):
        super().__init__()
        output: Any = JoinHeads(1, dim, bias=False)
        self.attn: Any = build(
            attention or Attention, dim=dim, num_heads=1, projection=IdentityQKV, output=output, score=score
        )
        if hides_what_follows(self.attn.pattern):
            raise ZooError(
                f"{self.attn.pattern} on a source hides from the n-th word that is said all that stands behind the source's "
                "n-th, as if that were not there yet: leave it out, or take pattern=local_m, which looks to both sides."
            )

    def remember(self, states: Tensor, last: Hidden, lengths: Tensor | None) -> Read:
        return Read(last, self.attn.remember(states, lengths))


class RecurrentPairs(PairModel):
    """A recurrent encoder, a decoder, and a map to the target's vocabulary.

    Args:
        decoder: reads embedded tokens [B, T, dim].
        source_vocab, target_vocab, dim, depth, cell, dropout: see `RecurrentEncoder`.
    """

    def __init__(
        self,
        decoder: RecurrentDecoder,
        source_vocab: int,
        target_vocab: int,
        dim: int,
        depth: int = 1,
        cell: str = "gru",
        dropout: float = 0.0,
    ):
        super().__init__(source_vocab, target_vocab)
        self.encoder = RecurrentEncoder(source_vocab, dim, depth, cell, dropout)
        self.embed = nn.Embedding(target_vocab, dim)
        self.drop = nn.Dropout(dropout)
        self.decoder = decoder
        self.head = Linear(dim, target_vocab)

    @property
    def stepping(self) -> bool:
        """Whether a target is gone along step by step."""
        return self.decoder.stepping

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As `torch.nn.Module.compile`. Raises: ZooError for a target that is gone along step by step: its loop would be
        unrolled into one graph, anew for each length, which takes longer to compile than to train."""
        if self.stepping:
            raise ZooError(
                f"compile=true: this {type(self).__name__} goes along a target step by step, a loop that torch.compile unrolls "
                "anew for each length, for minutes each time: leave compile out."
            )
        super().compile(*args, **kwargs)

    def embeddings(self) -> dict[str, nn.Embedding]:
        return {"source": self.encoder.embed, "target": self.embed}

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> Read:
        states, last = self.encoder(source, lengths)
        return self.decoder.remember(states, last, lengths)

    def decode(self, target: Tensor, memory: Read, state: Steps | None = None) -> tuple[Tensor, Steps]:
        state = self.decoder.begin(memory) if state is None else state
        features, state = self.decoder(self.drop(self.embed(target)), memory, state)
        return self.head(self.drop(features)), state


def hides_what_follows(pattern: Pattern, n: int = 64) -> bool:
    """Whether a query sees keys before its place, and none behind it."""
    if pattern.by_content or pattern.of_graph or not pattern.uses_query:
        return False
    zero, places = torch.zeros((), dtype=torch.long, device="cpu"), torch.arange(n, device="cpu")
    seen = pattern.allowed(zero, zero, places.unsqueeze(1), places).expand(n, n)
    return bool(seen.tril(-1).any()) and not bool(seen.triu(1).any())


def stacked(steps: list[Tensor], like: Tensor) -> Tensor:
    """Steps [B, 1, D] each -> [B, T, D]; of no steps [B, 0, D]."""
    return torch.cat(steps, 1) if steps else like[:, :0]
