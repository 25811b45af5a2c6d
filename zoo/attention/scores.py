"""Scores: how a query is compared with a key.

A score is one class with `pairs`. The other methods say what else it can be written as, and each unlocks a kernel.
"""

from __future__ import annotations

import math
from copy import copy
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.attention.former import adopt, former
from zoo.attention.linear import Linear
from zoo.attention.ops import narrow
from zoo.attention.ops.edge_ops import segment_softmax
from zoo.declared import declared
from zoo.errors import ZooError

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.attention.call import AttentionCall


class AdditiveForm(NamedTuple):
    """logit_ij = sum_w u_w act(q_i,w + k_j,w + edge_ij,w): the form of the additive scores, GAT's and Bahdanau's.

    q: [B, H, Q, W]. k: [B, H, K, W]. u: [H, W]. edge: [E, H, W] or None. act: a name with its setting,
    "leaky_relu:0.2" or "tanh".
    """

    q: Tensor
    k: Tensor
    u: Tensor
    act: str
    edge: Tensor | None = None


Sum = AdditiveForm  # its former name


class Score(nn.Module):
    """Base class. Shapes: B batch, H heads, D head width; `*` is any shape that broadcasts (Q,1 with 1,K; E edges; K)."""

    #: Whether `normalize` gives weights that sum to 1 over the keys a query may see; not so for a sigmoid of each.
    is_distribution: bool = True
    #: Whether `normalize` goes by where keys stand in a sequence: not for the edges of a graph, whose nodes have no order.
    uses_places: ClassVar[bool] = False
    #: Modalities it is for; none: any.
    reads: ClassVar[tuple[str, ...]] = ()

    @property
    def widths_differ(self) -> bool:
        """Whether queries and keys may be of different widths."""
        return False

    def pairs(self, q: Tensor, k: Tensor, edge: Tensor | None = None) -> Tensor:
        """Compare queries with keys one to one: [B, H, *, D], [B, H, *, D] -> [B, H, *].

        `edge`: the features of each pair as `Edges` carries them, where * is E."""
        raise NotImplementedError(f"{type(self).__name__} is a score without `pairs`: define it.")

    def dense(self, q: Tensor, k: Tensor) -> Tensor:
        """Compare every query with every key: [B, H, Q, D], [B, H, K, D] -> [B, H, Q, K]."""
        return self.pairs(q.unsqueeze(3), k.unsqueeze(2))

    def on_keys(self, k: Tensor) -> tuple[Score, Tensor]:
        """(s', k') with s'(q, k') = score(q, k): what depends on the keys [B, H_kv, K, D] alone is done, once for all queries
        that will be compared with them. By default nothing is."""
        return self, k

    def edge_shape(self, num_heads: int, head_dim: int) -> tuple[int, ...]:
        """The shape of one edge's features: a key's, to be added to the key, unless the score has a map of its own for
        raw features (a constructor with `edge_dim`)."""
        return num_heads, head_dim

    def as_dot(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor, float]:
        """(q', k', scale) with score = scale * q'.k', if there is such a form: unlocks SDPA and FlexAttention."""
        raise NotImplementedError(f"{type(self).__name__} has no such form: `forms` says which it has, as_dot is none.")

    def as_additive(self, q: Tensor, k: Tensor, edge: Tensor | None = None) -> AdditiveForm:
        """The score as a `AdditiveForm`, if it is one: unlocks edge lists without a row for each edge."""
        raise NotImplementedError(
            f"{type(self).__name__} has no such form: `forms` says which it has, as_additive is none."
        )

    def as_features(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Positive features with exp(score) = f(q).f(k), if there are any: unlocks the linear kernel."""
        raise NotImplementedError(
            f"{type(self).__name__} has no such form: `forms` says which it has, as_features is none."
        )

    def normalize(self, logits: Tensor, call: AttentionCall) -> Tensor:
        """Logits [B, H, Q, K] (-inf = forbidden) to weights. Softmax in float32 or wider; an empty row gives 0."""
        wide = torch.promote_types(logits.dtype, torch.float32)
        if call.is_unmasked:
            return torch.softmax(logits, dim=-1, dtype=wide).to(logits.dtype)
        empty = (logits == -torch.inf).all(-1, keepdim=True)
        weights = torch.softmax(logits.masked_fill(empty, 0), dim=-1, dtype=wide)
        return weights.masked_fill(empty, 0).to(logits.dtype)

    def normalize_segments(self, logits: Tensor, ptr: Tensor, run: Tensor) -> Tensor:
        """`normalize` for edges: logits [G, E], of which run m is ptr[m]:ptr[m + 1] and edge e is in run[e]; softmax."""
        return segment_softmax(logits, ptr, run)

    as_sum = former("as_additive")
    normalize_runs = former("normalize_segments")

    def __init_subclass__(cls, **how):
        super().__init_subclass__(**how)
        adopt(cls)
        cls._forms = _defined(cls, Score)

    _forms: ClassVar[frozenset[str]] = frozenset()

    def has(self, method: str) -> bool:
        """Whether the class defines an optional method itself; `forms` and `is_softmax` say what it can do."""
        return getattr(type(self), method) is not getattr(Score, method)

    @property
    def forms(self) -> frozenset[str]:
        """What else it can be written as: "dot", "additive", "features". By default what its class defines a method for; a
        wrapper passes on what the score inside it can."""
        return self._forms

    @property
    def is_softmax(self) -> bool:
        """Whether `normalize` is the softmax, which fused kernels compute."""
        kind = type(self)
        return kind.normalize is Score.normalize and kind.normalize_segments is Score.normalize_segments

    @property
    def normalizes_edges(self) -> bool:
        """Whether it says how the edges of a target become weights: a softmax, or a `normalize_segments` of its own."""
        return self.is_softmax or type(self).normalize_segments is not Score.normalize_segments


FORMS = {"dot": "as_dot", "additive": "as_additive", "features": "as_features"}


def _defined(kind: type[Score], base: type[Score]) -> frozenset[str]:
    """The forms whose method a score's class defines beside those of `base`."""
    return frozenset(x for x, name in FORMS.items() if getattr(kind, name) is not getattr(base, name))


@declared
class ScoreWrapper(Score):
    """A score around another one, which passes everything on: define what is different.

    Where `pairs` or `dense` is, the logits are others, so a form stays only if it is defined too; where `normalize` is, it
    is a softmax no longer.
    """

    def __init__(self, score: Score):
        super().__init__()
        self.score = score

    @property
    def is_distribution(self) -> bool:  # type: ignore[override]
        return self.score.is_distribution

    def pairs(self, q, k, edge=None):
        return self.score.pairs(q, k, edge)

    def dense(self, q, k):
        return super().dense(q, k) if self._defines("pairs") else self.score.dense(q, k)

    @property
    def widths_differ(self) -> bool:
        return self.score.widths_differ

    def on_keys(self, k):
        inner, mapped = self.score.on_keys(k)
        if inner is self.score or self._defines("pairs") or self._defines("dense"):
            return self, k
        twin = copy(self)  # the same parameters around another score
        twin._modules = {**self._modules, "score": inner}
        return twin, mapped

    def edge_shape(self, num_heads, head_dim):
        return self.score.edge_shape(num_heads, head_dim)

    def as_dot(self, q, k):
        return self.score.as_dot(q, k)

    def as_additive(self, q, k, edge=None):
        return self.score.as_additive(q, k, edge)

    def as_features(self, q, k):
        return self.score.as_features(q, k)

    def normalize(self, logits, call):
        return self.score.normalize(logits, call)

    def normalize_segments(self, logits, ptr, run):
        return self.score.normalize_segments(logits, ptr, run)

    @property
    def forms(self):
        same = not (self._defines("pairs") or self._defines("dense"))
        return self.score.forms if same else _defined(type(self), ScoreWrapper)

    @property
    def is_softmax(self):
        return self.score.is_softmax and not (self._defines("normalize") or self._defines("normalize_segments"))

    @property
    def normalizes_edges(self):
        if self._defines("normalize_segments"):
            return True
        return self.score.normalizes_edges and not self._defines("normalize")

    def _defines(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(ScoreWrapper, method)


def with_edge(k: Tensor, edge: Tensor | None) -> Tensor:
    """Keys on edges [B, H, E, D] plus the edges' features [E, H, D]."""
    return k if edge is None else k + edge.transpose(0, 1)


@declared
class ScaledDot(Score):
    """q.k / (sqrt(D) T). Vaswani et al. 2017, section 3.2.1; T = 1 there. As T -> 0: a hard table look-up."""

    def __init__(self, temperature: float = 1.0):
        super().__init__()
        if not temperature > 0:  # NaN too
            raise ZooError(f"temperature must be positive; got {temperature}.")
        self.temperature = temperature

    def scale(self, head_dim: int) -> float:
        return 1.0 / (math.sqrt(head_dim) * self.temperature)

    def pairs(self, q, k, edge=None):
        return (q * with_edge(k, edge)).sum(-1) * self.scale(q.shape[-1])

    def dense(self, q, k):
        return narrow.scores(q * self.scale(q.shape[-1]), k)

    def as_dot(self, q, k):
        return q, k, self.scale(q.shape[-1])


@declared
class Dot(Score):
    """q.k. Luong et al. 2015, section 3.1 ("dot")."""

    def pairs(self, q, k, edge=None):
        return (q * with_edge(k, edge)).sum(-1)

    def dense(self, q, k):
        return narrow.scores(q, k)

    def as_dot(self, q, k):
        return q, k, 1.0


@declared
class General(Score):
    """q W k / sqrt(D), one W [D, D] for all heads. Luong et al. 2015, section 3.1 ("general"; there the root is W's own).

    Departures: W starts at I, so training starts from the scaled dot product, not from random comparisons; and the root stands
    beside W. Adam moves each number of W by as much whatever the width, and without the root the comparisons sqrt(D) times
    as far: at 256 the weights saturate before anything is aligned (Multi30k, first epoch: perplexity 42 in place of 24).
    """

    def __init__(self, head_dim: int):
        super().__init__()
        self.map = nn.Parameter(torch.eye(head_dim))
        self.scale = 1.0 / math.sqrt(head_dim)

    def pairs(self, q, k, edge=None):
        return ((q @ self.map) * with_edge(k, edge)).sum(-1) * self.scale

    def dense(self, q, k):
        return narrow.scores((q @ self.map) * self.scale, k)

    def on_keys(self, k):
        return Dot(), (k @ self.map.mT) * self.scale

    def as_dot(self, q, k):
        return q @ self.map, k, self.scale

    def renamed(self, state: dict[str, Tensor], prefix: str) -> None:
        """Weights that were saved when the root was W's own, under the name of today; one that has both stays."""
        old, today = f"{prefix}weight", f"{prefix}map"
        if old in state and today not in state and state[old].is_floating_point():
            state[today] = state.pop(old) / self.scale

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        self.renamed(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


@declared
class Additive(Score):
    """u.tanh(W_q q + W_k k), with `hidden` units (default D). Bahdanau et al. 2015, appendix A.1.2; Luong's "concat"."""

    def __init__(self, head_dim: int, hidden: int | None = None):
        super().__init__()
        hidden = hidden or head_dim
        self.query = Linear(head_dim, hidden, bias=False)
        self.key = Linear(head_dim, hidden, bias=False)
        self.out = Linear(hidden, 1, bias=False)

    def pairs(self, q, k, edge=None):
        return self.out(torch.tanh(self.query(q) + self.key(with_edge(k, edge)))).squeeze(-1)

    def on_keys(self, k):
        return _AdditiveOnKeys(self), self.key(k)

    def as_additive(self, q, k, edge=None):
        u = self.out.weight.expand(q.shape[1], -1)
        return AdditiveForm(self.query(q), self.key(k), u, "tanh", None if edge is None else self.key(edge))


class _AdditiveOnKeys(Score):
    """u.tanh(W_q q + k'), k' = W_k k."""

    def __init__(self, whole: Additive):
        super().__init__()
        self.whole = whole

    @property
    def widths_differ(self) -> bool:
        return True

    def pairs(self, q, k, edge=None):
        return self.whole.out(torch.tanh(self.whole.query(q) + k)).squeeze(-1)


@declared
def elu_features(x: Tensor) -> Tensor:
    """elu(x) + 1: positive, smooth, with a gradient everywhere. Katharopoulos et al. 2020, equation 7."""
    return F.elu(x) + 1


#: A logit; beside it that of any number above 0 weighs all, in every type; it fits float16.
UNDERFLOW = -2000.0


@declared
class LinearFeatures(Score):
    """log(f(q).f(k)): its softmax is linear attention, sum_j f(q).f(k_j) v_j / sum_j f(q).f(k_j).

    Katharopoulos et al. 2020, section 3.2. `features` maps [..., D] to positive [..., F]; default elu(x) + 1.
    """

    def __init__(self, features: Callable[[Tensor], Tensor] = elu_features):
        super().__init__()
        self.features = features

    def pairs(self, q, k, edge=None):
        return self._log((self.features(q) * self.features(with_edge(k, edge))).sum(-1))

    def dense(self, q, k):
        return self._log(self.features(q) @ self.features(k).transpose(-2, -1))

    def as_features(self, q, k):
        return self.features(q), self.features(k)

    @staticmethod
    def _log(similarity: Tensor) -> Tensor:
        """An underflow is not a forbidden key: beside others it weighs 0, among underflows alone all weigh the same. Its
        gradient is 0."""
        tiny = torch.finfo(similarity.dtype).tiny
        below = similarity.detach().log().clamp_min(UNDERFLOW)
        return torch.where(similarity < tiny, below, similarity.clamp_min(tiny).log())
