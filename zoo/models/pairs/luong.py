"""Effective approaches to attention: global and local, multiplicative. Luong et al. 2015."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.attention import General, Linear
from zoo.declared import declared
from zoo.models.pairs.recurrent import (
    LookingDecoder,
    Read,
    RecurrentPairs,
    Steps,
    Walk,
    make_cells,
    run_cells,
    stacked,
)


class AttentionalDecoder(LookingDecoder):
    """The query is the state that has read the token:

        h_t = f(h_{t-1}, y_{t-1})                     with input feeding f(h_{t-1}, [y_{t-1}; h~_{t-1}]),  h~_0 = 0
        c_t = sum_s a_t(s) h_s,  a_t = align(h_t, h_s);   h~_t = tanh(W_c [c_t; h_t])

    Luong et al. 2015, sections 3.1 to 3.3. Without input feeding nothing waits for an attention, so recurrence and attention
    are one call each over the whole target. W_c is drawn from U(-.1, .1), as all weights are in section 4.1; torch's own
    draw is less than half as wide, and the first epoch of Multi30k then ended at a perplexity of 67 in place of 51. Departure:
    the encoder is bidirectional, as everywhere here.

    Args:
        dim: width of tokens, states and outputs.
        input_feeding: whether h~ goes into the next step.
        attention: factory of the attention; its score is `General` where none is chosen. The paper's local-m is the pattern
            `Window(D + 1)`, local-p the score `LocalP`.
        depth, cell, dropout: of the cells.
    """

    def __init__(
        self,
        dim: int,
        depth: int = 1,
        cell: str = "gru",
        dropout: float = 0.0,
        input_feeding: bool = True,
        attention: Callable[..., nn.Module] | None = None,
    ):
        super().__init__(dim, attention, General)
        self.stepping = input_feeding
        self.cells = make_cells(cell, 2 * dim if input_feeding else dim, dim, depth, dropout)
        self.join = Linear(2 * dim, dim, bias=False)
        nn.init.uniform_(self.join.weight, -0.1, 0.1)

    def begin(self, read: Read) -> Steps:
        said = torch.zeros_like(read.last[0][-1]).unsqueeze(1) if self.stepping else None
        return Steps(read.last, said=said)

    def forward(self, x: Tensor, read: Read, state: Steps) -> tuple[Tensor, Steps]:
        after = state.place + x.shape[1]
        places = torch.arange(state.place, after, device=x.device)
        if not self.stepping:
            h, hidden = run_cells(self.cells, x, state.hidden)
            return self._look(h, read, places), Steps(hidden, after)
        walk, said, each = Walk(self.cells, x, state.hidden), state.said, []
        assert said is not None  # `begin` made it
        for place in places.unsqueeze(1).unbind(0):
            said = self._look(walk.step(said[:, 0]).unsqueeze(1), read, place)
            each.append(said)
        return stacked(each, x), Steps(walk.hidden, after, said)

    def _look(self, h: Tensor, read: Read, places: Tensor) -> Tensor:
        """h~ of states [B, T, dim]."""
        c = self.attn(h, read.seen, q_pos=places)
        return torch.tanh(self.join(torch.cat([c, h], -1)))


@declared
class Luong(RecurrentPairs):
    """Attention after the recurrence, by a product of states; global, or local around a place. Luong et al. 2015.

    Args:
        source_vocab, target_vocab: ids are below them.
        dim: width of the decoder; each direction of the encoder has half of it.
        depth: layers of either side.
        cell: "gru" or "lstm" (the paper's).
        input_feeding: whether what was said goes into the next step (section 3.3).
        attention: factory of the attention, `functools.partial(Attention, score=Dot, pattern=Window(11))`; "general" where none
            is chosen.
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
        input_feeding: bool = True,
        attention: Callable[..., nn.Module] | None = None,
        dropout: float = 0.0,
    ):
        decoder = AttentionalDecoder(dim, depth, cell, dropout, input_feeding, attention)
        super().__init__(decoder, source_vocab, target_vocab, dim, depth, cell, dropout)
