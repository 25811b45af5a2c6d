"""Patterns: which keys a query may see.

A pattern is a value: a frozen dataclass with one method, `allowed`, index algebra on places in the sequence. That one
definition becomes the dense mask, SDPA's is_causal and FlexAttention's mask_mod. Patterns compose with `&` and `|`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from zoo.declared import declared
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.attention.call import AttentionCall
    from zoo.attention.edges import Edges


@dataclass(frozen=True, eq=False)  # equality is for the subclasses without tensors
class Pattern:
    """Base class: define `allowed`. Give `eq=False` to a dataclass that holds tensors."""

    #: Whether `allowed` looks at the query's place; if not, there may be more queries than keys (cross-attention).
    uses_query: ClassVar[bool] = True
    #: The modalities of data that it is for; none: any.
    reads: ClassVar[tuple[str, ...]] = ()

    def allowed(self, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        """True where sample b's head h lets the query at place q see the key at place k; broadcasts."""
        raise NotImplementedError(f"{type(self).__name__} is a pattern without `allowed`: define it.")

    def edit(self, logits: Tensor, call: AttentionCall) -> Tensor:
        """Logits [B, H, Q, K] with -inf where forbidden: what the reference kernel does. A pattern that chooses keys by
        their content overrides it; its `allowed` then says which keys it may choose from."""
        mask = call.mask()
        return logits if mask is None else logits.masked_fill(~mask, -torch.inf)

    @property
    def by_content(self) -> bool:
        """Whether it looks at the logits to choose keys; such a pattern has no mask for the fused kernels."""
        return type(self).edit is not Pattern.edit

    @property
    def sees_nothing(self) -> bool:
        """Whether it allows no key to anybody, whatever the sizes: `pattern | it` is the pattern."""
        return False

    @property
    def edges(self) -> Edges | None:
        """The list of edges that says who sees whom, if there is one; the rest of the pattern only takes edges away."""
        return None

    @property
    def besides_edges(self) -> Pattern:
        """The pattern without its list of edges."""
        return self

    def on(self, edges: Edges) -> Pattern:
        """The pattern with a graph's edges in the place of `GraphEdges()`."""
        return self

    def check(self, call: AttentionCall) -> None:
        """Raise ZooError if the pattern's own tensors do not fit the call's shapes."""

    def __and__(self, other: Pattern) -> Pattern:
        return other if isinstance(self, Full) else self if isinstance(other, Full) else And(self, other)

    def __or__(self, other: Pattern) -> Pattern:
        if isinstance(self, Full) or other.sees_nothing:
            return self
        return other if isinstance(other, Full) or self.sees_nothing else Or(self, other)

    @property
    def is_static(self) -> bool:
        """Whether it holds no tensor, so that what was derived from it (a BlockMask) may be kept."""
        fields = [getattr(self, f.name) for f in dataclasses.fields(self)]
        return all(x.is_static if isinstance(x, Pattern) else not isinstance(x, Tensor) for x in fields)

    def to(self, *args, **kwargs) -> Pattern:
        """The pattern with its tensors moved, as `Tensor.to`; through `&` and `|`."""
        return self._map(lambda x: x.to(*args, **kwargs))

    def pin_memory(self) -> Pattern:
        return self._map(lambda x: x.pin_memory())

    def _map(self, move) -> Pattern:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        moved = {name: move(x) for name, x in fields.items() if isinstance(x, Tensor | Pattern)}
        return self if all(x is fields[name] for name, x in moved.items()) else dataclasses.replace(self, **moved)


@declared
@dataclass(frozen=True)
class Full(Pattern):
    """Every query sees every key."""

    uses_query: ClassVar[bool] = False

    def allowed(self, b, h, q, k):
        return (k == k) & (q == q)


@declared
@dataclass(frozen=True)
class Causal(Pattern):
    """k <= q: a query sees itself and what came before."""

    def allowed(self, b, h, q, k):
        return k <= q


@declared
@dataclass(frozen=True)
class Window(Pattern):
    """|q - k| < size; with Causal() exactly `size` keys, the query's own included. Beltagy et al. 2020, section 3.1."""

    size: int

    def __post_init__(self):
        _whole("Window(size)", self.size, least=1)

    def allowed(self, b, h, q, k):
        return (q - k < self.size) & (k - q < self.size)


@declared
@dataclass(frozen=True, eq=False)
class Prefix(Pattern):
    """k < n: every query sees the first n keys (n an int, or [B]). A prefix LM is Causal() | Prefix(n)."""

    n: int | Tensor
    uses_query: ClassVar[bool] = False

    def __post_init__(self):
        _whole("Prefix(n)", self.n)

    @property
    def sees_nothing(self):
        return not isinstance(self.n, Tensor) and self.n == 0

    def allowed(self, b, h, q, k):
        return k < (self.n[b] if isinstance(self.n, Tensor) else self.n)

    def check(self, call):
        if isinstance(self.n, Tensor) and self.n.shape != (call.q.shape[0],):
            raise ZooError(f"Prefix(n) takes an int or one n a sample, [{call.q.shape[0]}]; got {list(self.n.shape)}.")


@declared
@dataclass(frozen=True)
class Global(Pattern):
    """q < n or k < n: the first n tokens see all and are seen by all. Beltagy et al. 2020, section 3.1."""

    n: int

    def __post_init__(self):
        _whole("Global(n)", self.n)

    @property
    def sees_nothing(self):
        return self.n == 0

    def allowed(self, b, h, q, k):
        return (q < self.n) | (k < self.n)


@dataclass(frozen=True, eq=False)
class Padding(Pattern):
    """Hides padded keys. `Padding(lengths [B])`: sample b has keys 0..lengths[b]-1; `Padding(mask [B, K])`: True = a key
    that may be attended. It hides keys only: rows of padded queries are computed."""

    lengths: Tensor | None = None
    mask: Tensor | None = None
    uses_query: ClassVar[bool] = False

    def __post_init__(self):
        for given in (self.lengths, self.mask):
            if given is not None and not isinstance(given, Tensor):
                raise ZooError(f"Padding takes a tensor, lengths [B] or a mask [B, K]; got {given!r}.")
        if self.lengths is not None and self.lengths.ndim == 2:  # given by position: a mask
            lengths, mask = self.mask, self.lengths
            object.__setattr__(self, "lengths", lengths)
            object.__setattr__(self, "mask", mask)
        if (self.lengths is None) == (self.mask is None):
            raise ZooError("Padding takes lengths [B] or a mask [B, K]: one of them.")
        if self.lengths is not None:
            _whole("Padding(lengths)", self.lengths)
        if self.mask is not None and self.mask.dtype != torch.bool:
            raise ZooError(
                f"Padding's mask is boolean, True = may be attended; got {self.mask.dtype}: use mask.bool()."
            )

    def allowed(self, b, h, q, k):
        if self.lengths is not None:
            return k < self.lengths[b]
        assert self.mask is not None  # one of the two, by __post_init__
        return self.mask[b, k]  # an empty cache slot, place -1, is hidden anyway

    def check(self, call):
        B, K = call.q.shape[0], call.k.shape[2]
        if self.lengths is not None and self.lengths.shape != (B,):
            raise ZooError(f"Padding(lengths) needs one length a sample, [{B}]; got {list(self.lengths.shape)}.")
        if self.mask is not None and (self.mask.shape[0] != B or (call.k_pos is None and self.mask.shape[1] != K)):
            raise ZooError(f"Padding(mask) needs [B, K] = [{B}, {K}]; got {list(self.mask.shape)}.")
        if self.mask is not None:
            _reaches("Padding(mask)", self.mask, call)


@dataclass(frozen=True, eq=False)
class Documents(Pattern):
    """Equal ids see each other: several documents packed in one row. `ids`: integers [B, N] or [N], in any order."""

    ids: Tensor

    def __post_init__(self):
        if not isinstance(self.ids, Tensor):
            raise ZooError(f"Documents takes a tensor of ids, [N] or [B, N]; got {self.ids!r}.")
        _whole("Documents(ids)", self.ids)

    def allowed(self, b, h, q, k):
        return self.ids[q] == self.ids[k] if self.ids.ndim == 1 else self.ids[b, q] == self.ids[b, k]

    def check(self, call):
        B, K = call.q.shape[0], call.k.shape[2]
        sizes = [[K], [B, K], [1, K]] if B == 1 else [[K], [B, K]]
        with_cache = call.k_pos is not None and (self.ids.ndim == 1 or self.ids.shape[0] == B)
        if not with_cache and list(self.ids.shape) not in sizes:
            raise ZooError(f"Documents(ids) needs one id a key, [{K}] or [{B}, {K}]; got {list(self.ids.shape)}.")
        _reaches("Documents(ids)", self.ids, call)


@dataclass(frozen=True)
class _Pair(Pattern):
    left: Pattern
    right: Pattern

    @property
    def uses_query(self) -> bool:
        return self.left.uses_query or self.right.uses_query

    @property
    def by_content(self) -> bool:
        return self.left.by_content or self.right.by_content

    def check(self, call):
        self.left.check(call)
        self.right.check(call)

    def on(self, edges):
        left, right = self.left.on(edges), self.right.on(edges)
        return left & right if isinstance(self, And) else left | right


@declared
@dataclass(frozen=True)
class And(_Pair):
    """Both allow it. Written `left & right`. A choice by content is made among the keys that the rest allows, and edges
    are those of the list that the rest allows."""

    def __post_init__(self):
        if self.left.edges is not None and self.right.edges is not None:
            raise ZooError("Two lists of edges cannot be joined by `&`: make one list of the edges in both.")
        if self.edges is not None and self.by_content:
            raise ZooError("A choice by content and a list of edges cannot be joined by `&`: it chooses in a matrix.")

    @property
    def edges(self):
        return self.left.edges if self.right.edges is None else self.right.edges

    @property
    def besides_edges(self):
        return self if self.edges is None else self.left.besides_edges & self.right.besides_edges

    def edit(self, logits, call):
        logits = Pattern.edit(self, logits, call)
        for side in (self.left, self.right):
            logits = side.edit(logits, replace(call, pattern=side)) if side.by_content else logits
        return logits

    def allowed(self, b, h, q, k):
        return self.left.allowed(b, h, q, k) & self.right.allowed(b, h, q, k)


@declared
@dataclass(frozen=True)
class Or(_Pair):
    """At least one allows it. Written `left | right`. It has a mask and no list: edges in it count once."""

    @property
    def uses_query(self) -> bool:
        """Edges look at the query; as a list they are asked otherwise, but here they are a mask like others."""
        return super().uses_query or any(side.edges is not None for side in (self.left, self.right))

    def __post_init__(self):
        for edges in (self.left.edges, self.right.edges):
            if edges is not None and (edges.features is not None or edges.group is not None):
                raise ZooError("Edges with features or groups cannot be joined by `|`: other pairs would have none.")
        if self.by_content:
            raise ZooError(f"{self.left} | {self.right}: a choice by content joins others by `&`, not by `|`.")

    def allowed(self, b, h, q, k):
        return self.left.allowed(b, h, q, k) | self.right.allowed(b, h, q, k)


def _reaches(name: str, given: Tensor, call: AttentionCall) -> None:
    """Raise ZooError where what is given for each place ends before the places that a cache holds."""
    if call.k_pos is None or torch.compiler.is_compiling() or call.k_pos.is_cuda:  # a look would wait for the GPU,
        return  # where indexing itself refuses what lies outside
    if call.k_pos.numel() and int(call.k_pos.max()) >= given.shape[-1]:
        held = int(call.k_pos.max()) + 1
        raise ZooError(f"{name} is {list(given.shape)}, but the cache holds {held} places: give one for each of them.")


def _whole(name: str, value: int | Tensor, least: int = 0) -> None:
    """Sizes and ids are whole numbers; the values of a tensor are not looked at (that would wait for a GPU)."""
    if isinstance(value, Tensor):
        if value.is_floating_point() or value.dtype == torch.bool:
            raise ZooError(f"{name} holds integers; got {value.dtype}.")
    elif isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ZooError(f"{name} is a whole number, at least {least}; got {value!r}.")
