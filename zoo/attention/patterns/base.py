"""What a pattern is, and how two are joined.

A pattern is a value: a frozen dataclass with one method, `allowed`, index algebra on places in the sequence. That one
definition becomes the dense mask, SDPA's is_causal and FlexAttention's mask_mod. Patterns compose with `&` and `|`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from zoo.attention.former import adopt, former
from zoo.declared import declared
from zoo.errors import ZooError, one_line

if TYPE_CHECKING:
    from zoo.attention.call import AttentionCall
    from zoo.attention.edges import Edges


@dataclass(frozen=True, eq=False)  # equality is for the subclasses without tensors
class Pattern:
    """Base class: define `allowed`, or `edit` where keys are chosen by their content.

    Give `eq=False` to a dataclass that holds tensors.
    """

    #: Whether `allowed` looks at the query's place; if not, there may be more queries than keys (cross-attention).
    uses_query: ClassVar[bool] = True
    #: The modalities of data that it is for; none: any.
    reads: ClassVar[tuple[str, ...]] = ()
    #: Whether what one query sees depends on more than it and its keys, on other queries or on the sequence's length: then
    #: a step beside a cache cannot be what one pass over the whole would be, and is refused.
    needs_whole: ClassVar[bool] = False
    #: Whether its choice is by chance: a call that trains then has a `draw`.
    by_chance: ClassVar[bool] = False

    def allowed(self, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        """True where sample b's head h lets the query at place q see the key at place k; broadcasts. A choice by content
        that says nothing chooses from all keys."""
        if self.by_content:
            return (k == k) & (q == q)
        raise NotImplementedError(f"{type(self).__name__} is a pattern without `allowed`: define it.")

    def edit(self, logits: Tensor, call: AttentionCall) -> Tensor:
        """Logits [B, H, Q, K] with -inf where forbidden: what the reference kernel does. A pattern that chooses keys by
        their content overrides it; its `allowed` then says which keys it may choose from."""
        mask = call.mask()
        return logits if mask is None else logits.masked_fill(~mask, -torch.inf)

    def finish(self, weights: Tensor, logits: Tensor, call: AttentionCall) -> Tensor:
        """The weights [B, H, Q, K] after normalising, for a choice by content whose rows are no distributions (see
        `is_distribution`). `logits` are those that `edit` was given."""
        return weights

    def edit_segments(self, logits: Tensor, ptr: Tensor, segment: Tensor) -> Tensor:
        """`edit` for edges, if a choice by content has such a form: logits [G, E], of which those of target t are
        ptr[t]:ptr[t + 1] and edge e is target segment[e]'s; -inf where forbidden or not chosen."""
        raise NotImplementedError(
            f"{type(self).__name__} chooses in a matrix and says nothing of edges: see `chooses_edges`."
        )

    @property
    def by_content(self) -> bool:
        """Whether it looks at the logits to choose keys; such a pattern has no mask for the fused kernels."""
        return type(self).edit is not Pattern.edit

    @property
    def is_distribution(self) -> bool:
        """Whether rows of weights stay as they are normalised; if not, `finish` says what becomes of them."""
        return True

    @property
    def choices(self) -> tuple[Pattern, ...]:
        """The choices by content in it, each of which is made in turn among the keys that the rest allows."""
        return (self,) if self.by_content else ()

    @property
    def chooses_edges(self) -> bool:
        """Whether every choice by content in it can choose among a target's edges (`edit_segments`)."""
        return all(type(one).edit_segments is not Pattern.edit_segments for one in self.choices)

    @property
    def of_graph(self) -> bool:
        """Whether the edges of a graph are somewhere in it, or what stands for them."""
        return self.edges is not None

    @property
    def lists_edges(self) -> bool:
        """Whether it is a list of edges, or stands for one, of which the rest of it takes some away."""
        return self.edges is not None

    @property
    def sees_nothing(self) -> bool:
        """Whether it allows no key to anybody, whatever the sizes: `pattern | it` is the pattern."""
        return False

    @property
    def reach(self) -> int | None:
        """How many places back a query sees at most, its own included; None where there is no such bound."""
        return None

    @property
    def edges(self) -> Edges | None:
        """The list of edges that says who sees whom, if there is one; the rest of the pattern only takes edges away."""
        return None

    @property
    def index_pattern(self) -> Pattern:
        """The pattern without its list of edges."""
        return self

    def bind(self, edges: Edges) -> Pattern:
        """The pattern with a graph's edges in the place of `GraphEdges()`."""
        return self

    on = former("bind")
    besides_edges = former("index_pattern")

    def __init_subclass__(cls, **how):
        super().__init_subclass__(**how)
        adopt(cls)

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


@dataclass(frozen=True)
class _Pair(Pattern):
    left: Pattern
    right: Pattern

    def __post_init__(self):
        for name in ("left", "right"):
            check_part(name, getattr(self, name), Pattern)

    @property
    def uses_query(self) -> bool:
        return self.left.uses_query or self.right.uses_query

    @property
    def by_content(self) -> bool:
        return self.left.by_content or self.right.by_content

    @property
    def needs_whole(self) -> bool:  # type: ignore[override]
        return self.left.needs_whole or self.right.needs_whole

    @property
    def by_chance(self) -> bool:  # type: ignore[override]
        return self.left.by_chance or self.right.by_chance

    @property
    def is_distribution(self):
        return self.left.is_distribution and self.right.is_distribution

    @property
    def of_graph(self) -> bool:
        return self.left.of_graph or self.right.of_graph

    def check(self, call):
        self.left.check(call)
        self.right.check(call)

    def bind(self, edges):
        left, right = self.left.bind(edges), self.right.bind(edges)
        return left & right if isinstance(self, And) else left | right


@declared
@dataclass(frozen=True)
class And(_Pair):
    """Both allow it. Written `left & right`. A choice by content is made among the keys that the rest allows, and edges
    are those of the list that the rest allows."""

    def __post_init__(self):
        super().__post_init__()
        if self.left.edges is not None and self.right.edges is not None:
            raise ZooError("Two lists of edges cannot be joined by `&`: make one list of the edges in both.")
        if self.lists_edges and not self.chooses_edges:
            unable = next(one for one in self.choices if type(one).edit_segments is Pattern.edit_segments)
            raise ZooError(
                f"{unable} chooses keys by their content in a matrix and says nothing of edges (no edit_segments), so it "
                "cannot be joined to a graph's by `&`."
            )

    @property
    def lists_edges(self):
        return self.left.lists_edges or self.right.lists_edges

    @property
    def choices(self):
        return self.left.choices + self.right.choices

    @property
    def reach(self):
        return min((x for x in (self.left.reach, self.right.reach) if x is not None), default=None)

    @property
    def edges(self):
        return self.left.edges if self.right.edges is None else self.right.edges

    @property
    def index_pattern(self):
        return self if self.edges is None else self.left.index_pattern & self.right.index_pattern

    def edit(self, logits, call):
        logits = Pattern.edit(self, logits, call)
        for one in self.choices:
            logits = one.edit(logits, replace(call, pattern=one))
        return logits

    def finish(self, weights, logits, call):
        for one in self.choices if not self.is_distribution else ():
            alone = replace(call, pattern=one)
            weights, logits = one.finish(weights, logits, alone), one.edit(logits, alone)
        return weights

    def allowed(self, b, h, q, k):
        return self.left.allowed(b, h, q, k) & self.right.allowed(b, h, q, k)


@declared
@dataclass(frozen=True)
class Or(_Pair):
    """At least one allows it. Written `left | right`. It has a mask and no list: edges in it count once. A choice by
    content is made on its side alone: the union is of what both sides see."""

    @property
    def uses_query(self) -> bool:
        """Edges look at the query; as a list they are asked otherwise, but here they are a mask like others."""
        return super().uses_query or any(side.edges is not None for side in (self.left, self.right))

    def __post_init__(self):
        super().__post_init__()
        for edges in (self.left.edges, self.right.edges):
            if edges is not None and (edges.features is not None or edges.group is not None):
                raise ZooError("Edges with features or groups cannot be joined by `|`: other pairs would have none.")
        if not self.is_distribution:
            raise ZooError(
                f"{self.left} | {self.right}: a choice whose rows of weights do not sum to 1 cannot be joined by `|`; "
                'take one whose rows do, such as ProbSparse(lazy="mean").'
            )

    def edit(self, logits, call):
        if not self.by_content:
            return Pattern.edit(self, logits, call)
        sides = []
        for side in (self.left, self.right):
            mine = replace(call, pattern=side)
            masked = Pattern.edit(side, logits, mine)
            sides.append(side.edit(masked, mine) if side.by_content else masked)
        as_it_is = (sides[1] == -torch.inf) | (sides[0] == logits)  # what either side sees in full is seen in full
        return torch.where(as_it_is, *sides)

    def allowed(self, b, h, q, k):
        return self.left.allowed(b, h, q, k) | self.right.allowed(b, h, q, k)


def whole_number(name: str, value: int | Tensor, least: int = 0) -> None:
    """Sizes and ids are whole numbers; the values of a tensor are not looked at (that would wait for a GPU)."""
    if isinstance(value, Tensor):
        if value.is_floating_point() or value.dtype == torch.bool:
            raise ZooError(f"{name} holds integers; got {value.dtype}.")
    elif isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ZooError(f"{name} is a whole number, at least {least}; got {value!r}.")


def check_part(name: str, part: object, kind: type) -> None:
    """Raise ZooError where an axis was given a class, or anything else that is not one of its objects."""
    if not isinstance(part, kind):
        raise ZooError(
            f"{name} is an object such as {kind.__name__}'s subclasses make, not {one_line(repr(part), 200)}."
        )
