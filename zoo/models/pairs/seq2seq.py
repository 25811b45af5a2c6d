"""The encoder-decoder without attention: a sentence through one vector."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.attention import Linear
from zoo.declared import declared
from zoo.errors import ZooError, nearest
from zoo.models.pairs.recurrent import Read, RecurrentDecoder, RecurrentPairs, Steps, make_cells, run_cells

CONTEXTS = ("each_step", "initial")


class SummaryDecoder(RecurrentDecoder):
    """c is the encoder's last state, the same for each token.

        each_step   s_0 = tanh(V c);  s_i = f(s_{i-1}, [y_{i-1}; c]);  out_i = tanh(W [s_i; c; y_{i-1}])
        initial     s_0 = c;          s_i = f(s_{i-1}, y_{i-1});       out_i = s_i

    Cho et al. 2014, section 2.2 and appendix A.1.2; Sutskever et al. 2014, section 2. Departures: a tanh of one map where Cho's
    has a maxout; each layer starts from the same layer of the encoder, and an LSTM's cell from the encoder's as it is.

    Args:
        dim: width of tokens, states and outputs.
        depth, cell, dropout: of the cells.
        context: where c enters: "each_step" or "initial".
    """

    def __init__(self, dim: int, depth: int = 1, cell: str = "gru", dropout: float = 0.0, context: str = "each_step"):
        super().__init__()
        if context not in CONTEXTS:
            raise ZooError(f"model.context={context} is unknown; {nearest(str(context), CONTEXTS)}")
        each = context == "each_step"
        self.cells = make_cells(cell, 2 * dim if each else dim, dim, depth, dropout)
        self.start = Linear(dim, dim, bias=False) if each else None
        self.readout = Linear(3 * dim, dim) if each else None

    def begin(self, read: Read) -> Steps:
        first, *rest = read.last
        return Steps((first if self.start is None else torch.tanh(self.start(first)), *rest))

    def forward(self, x: Tensor, read: Read, state: Steps) -> tuple[Tensor, Steps]:
        if self.readout is None:
            out, hidden = run_cells(self.cells, x, state.hidden)
        else:
            c = read.last[0][-1].unsqueeze(1).expand(-1, x.shape[1], -1)
            out, hidden = run_cells(self.cells, torch.cat([x, c], -1), state.hidden)
            out = torch.tanh(self.readout(torch.cat([out, c, x], -1)))
        return out, Steps(hidden, state.place + x.shape[1])


@declared
class Seq2Seq(RecurrentPairs):
    """A sentence read into one vector, from which another is said: the bottleneck that attention was made for.

    Args:
        source_vocab, target_vocab: ids are below them.
        dim: width of the decoder; each direction of the encoder has half of it.
        depth: layers of either side.
        cell: "gru" or "lstm".
        context: "each_step" (Cho et al. 2014) or "initial" (Sutskever et al. 2014), see `SummaryDecoder`.
        dropout: on embeddings, between layers and before the map to the vocabulary.

    Raises: ZooError for an odd dim, an unknown cell or context.
    """

    def __init__(
        self,
        source_vocab: int,
        target_vocab: int,
        dim: int = 256,
        depth: int = 1,
        cell: str = "gru",
        context: str = "each_step",
        dropout: float = 0.0,
    ):
        decoder = SummaryDecoder(dim, depth, cell, dropout, context)
        super().__init__(decoder, source_vocab, target_vocab, dim, depth, cell, dropout)
