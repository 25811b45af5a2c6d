"""Jointly learning to align and translate: the first attention. Bahdanau et al. 2015."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.attention import Additive, Linear
from zoo.declared import declared
from zoo.models.pairs.recurrent import (
    LookingDecoder,
    Read,
    RecurrentPairs,
    Steps,
    Walk,
    make_cells,
    stacked,
)


class AlignAndTranslate(LookingDecoder):
    """The query is the state before the token is read:

        c_i = sum_j a_ij h_j,  a_i = softmax_j(e(s_{i-1}, h_j));  s_i = f(s_{i-1}, [y_{i-1}; c_i])
        out_i = maxout(U [s_i; c_i; y_{i-1}]),  pairs of units;   s_0 = tanh(W_s h_1 backward)

    Bahdanau et al. 2015, section 3.1 and appendices A.1.2, A.2.2. Departures: the readout sees s_i, as equation 4 says, where
    the appendix has s_{i-1}; torch's GRU has its reset gate behind the map of the state; with several layers the query is the
    top one's state.

    Args:
        dim: width of tokens, states and outputs.
        attention: factory of the attention; its score is `Additive` where none is chosen.
        depth, cell, dropout: of the cells.
    """

    stepping = True

    def __init__(
        self,
        dim: int,
        depth: int = 1,
        cell: str = "gru",
        dropout: float = 0.0,
        attention: Callable[..., nn.Module] | None = None,
    ):
        super().__init__(dim, attention, Additive)
        self.cells = make_cells(cell, 2 * dim, dim, depth, dropout)
        self.start = Linear(dim // 2, dim, bias=False)
        self.readout = Linear(3 * dim, 2 * dim)

    def begin(self, read: Read) -> Steps:
        backward = read.last[0].chunk(2, -1)[1]
        first = torch.tanh(self.start(backward))
        return Steps((first, *(torch.zeros_like(first) for _ in read.last[1:])))

    def forward(self, x: Tensor, read: Read, state: Steps) -> tuple[Tensor, Steps]:
        walk, after = Walk(self.cells, x, state.hidden), state.place + x.shape[1]
        states, contexts = [], []
        for place in torch.arange(state.place, after, device=x.device).unsqueeze(1).unbind(0):
            c = self.attn(walk.top.unsqueeze(1), read.seen, q_pos=place)
            contexts.append(c)
            states.append(walk.step(c[:, 0]).unsqueeze(1))
        everything = torch.cat([stacked(states, x), stacked(contexts, x), x], -1)
        return self.readout(everything).unflatten(-1, (-1, 2)).amax(-1), Steps(walk.hidden, after)


@declared
class Bahdanau(RecurrentPairs):
    """A decoder that looks back at each word of the source while it says the next. Bahdanau et al. 2015.

    Args:
        source_vocab, target_vocab: ids are below them.
        dim: width of the decoder; each direction of the encoder has half of it.
        depth: layers of either side.
        cell: "gru" (the paper's) or "lstm".
        attention: factory of the attention, `functools.partial(Attention, score=...)`; additive where none is chosen.
        dropout: on embeddings, between layers and before the map to the vocabulary.

    Its alignments: `record_attention(model)`["decoder.attn"], [B, 1, T, S]. Raises: as `Seq2Seq`.
    """

    def __init__(
        self,
        source_vocab: int,
        target_vocab: int,
        dim: int = 256,
        depth: int = 1,
        cell: str = "gru",
        attention: Callable[..., nn.Module] | None = None,
        dropout: float = 0.0,
    ):
        decoder = AlignAndTranslate(dim, depth, cell, dropout, attention)
        super().__init__(decoder, source_vocab, target_vocab, dim, depth, cell, dropout)
