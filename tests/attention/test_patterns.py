"""What patterns mean, exactly; that they are values; that they compose."""

import pickle
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.attention.examples import PATTERNS, B, N, tensors
from zoo.attention import (
    AttentionCall,
    Causal,
    Documents,
    Full,
    Global,
    Padding,
    Pattern,
    Prefix,
    TopK,
    Window,
    Window2D,
    attend,
    explain,
)  # fmt: skip
from zoo.errors import ZooError


def dense(pattern: Pattern, q: int = N, k: int = N, batch: int = B) -> torch.Tensor:
    """[B, Q, K] booleans."""
    x = torch.zeros(batch, 1, max(q, k), 4)
    mask = AttentionCall(x[:, :, :q], x[:, :, :k], x[:, :, :k], pattern=pattern).mask()
    return torch.ones(batch, q, k, dtype=torch.bool) if mask is None else mask.expand(batch, 1, q, k)[:, 0]


@given(st.integers(1, 12), st.integers(0, 6), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_definitions(k, fewer, size):
    """Query i has place i + K - Q for every pattern (C4)."""
    q = max(1, k - fewer)
    place = torch.arange(k - q, k)[:, None]
    key = torch.arange(k)[None]
    expected = {
        Full(): torch.ones(q, k, dtype=torch.bool),
        Causal(): key <= place,
        Window(size): (place - key).abs() < size,
        Prefix(size): (key < size).expand(q, k),
        Global(size): (place < size) | (key < size),
        Causal() | Prefix(size): (key <= place) | (key < size),
        Causal() & Window(size): (key <= place) & (key > place - size),
    }
    for pattern, mask in expected.items():
        assert torch.equal(dense(pattern, q, k)[0], mask), pattern
    ids = torch.randint(3, (B, k))
    assert torch.equal(dense(Documents(ids), q, k), ids[:, k - q :, None] == ids[:, None])
    lengths = torch.randint(k + 1, (B,))
    assert torch.equal(dense(Padding(lengths), q, k), (key < lengths[:, None, None]).expand(B, q, k))


@pytest.mark.parametrize("size", [1, 2, 5, N])
def test_window_with_causal_sees_exactly_size_keys(size):
    """C7, bug 29: `size` keys, the query's own included, as soon as there are that many."""
    for kernel in ("reference", "sdpa"):
        q, k, v = (x.detach() for x in tensors())
        out = attend(q, k, v, pattern=Causal() & Window(size), kernel=kernel).out
        last = attend(q[:, :, -1:], k[:, :, N - size :], v[:, :, N - size :], kernel="reference").out
        torch.testing.assert_close(out[:, :, -1:], last)
    assert dense(Causal() & Window(size))[0].sum(-1).tolist() == [min(i + 1, size) for i in range(N)]


def test_padding_takes_lengths_or_a_mask():
    lengths = torch.tensor([2, 7])
    mask = torch.arange(N) < lengths[:, None]
    for pattern in (Padding(lengths), Padding(lengths=lengths), Padding(mask), Padding(mask=mask)):
        assert torch.equal(dense(pattern)[:, 0], mask)
    assert dense(Padding(mask))[0].shape == (N, N), "rows of padded queries are computed"


def test_documents_of_one_row_and_in_any_order():
    ids = torch.tensor([4, 0, 4, 0, 0, 9, 4])
    assert torch.equal(dense(Documents(ids))[0], ids[:, None] == ids)


@pytest.mark.parametrize(
    "pattern", [Causal(), Window(2), Global(1), Causal() & Window(2), Documents(torch.zeros(3).long())]
)
def test_more_queries_than_keys_is_refused_where_places_matter(pattern):
    q, k, v = tensors(q=5, k=3)
    with pytest.raises(ZooError, match="5 queries on 3 keys"):
        attend(q, k, v, pattern=pattern)


@pytest.mark.parametrize(
    "pattern", [Full(), Prefix(2), Padding(torch.tensor([1, 3])), Prefix(2) & Padding(torch.tensor([1, 3]))]
)
def test_more_queries_than_keys_is_cross_attention_otherwise(pattern):
    q, k, v = tensors(q=5, k=3)
    assert attend(q, k, v, pattern=pattern).out.shape[2] == 5


def test_algebra():
    causal = Causal()
    assert (causal & Full()) is causal and (Full() & causal) is causal
    assert isinstance(causal | Full(), Full) and isinstance(Full() | causal, Full)
    assert Window(3) == Window(3) != Window(4) and hash(Causal()) == hash(Causal())
    assert Padding(torch.tensor([1])) != Padding(torch.tensor([1])), "tensors are compared by identity"
    a, b = dense(causal), dense(Global(2))
    assert torch.equal(dense(causal & Global(2)), a & b) and torch.equal(dense(causal | Global(2)), a | b)
    assert (causal & Window(2)) == (Causal() & Window(2))


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_are_values(name):
    """They pickle, move and cross a batch transfer."""
    pattern = PATTERNS[name]()
    for copy in (
        pickle.loads(pickle.dumps(pattern)),
        pattern.to("cpu"),
        pattern.to(torch.device("cpu"), non_blocking=True),
    ):
        assert torch.equal(dense(copy), dense(pattern))
    moved = pattern.to("meta")
    assert moved.is_static or any(t.device.type == "meta" for t in _tensors(moved))


def _tensors(pattern):
    for value in vars(pattern).values():
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, Pattern):
            yield from _tensors(value)


@dataclass(frozen=True)
class Checkerboard(Pattern):
    """A user's own pattern: one dataclass, one method."""

    def allowed(self, b, h, q, k):
        return (q + k + h) % 2 == 0


def test_a_pattern_of_ones_own():
    """One method is enough for every kernel; it may tell heads apart."""
    q, k, v = tensors()
    for pattern in (Checkerboard(), Checkerboard() & Causal(), Checkerboard() | Padding(torch.tensor([2, 0]))):
        got, want = (attend(q, k, v, pattern=pattern, kernel=name).out for name in ("sdpa", "reference"))
        torch.testing.assert_close(got, want)


@dataclass(frozen=True)
class Best(Pattern):
    """A toy choice by content: each query keeps its n best keys, as ProbSparse and LSH will in their ways."""

    n: int

    def allowed(self, b, h, q, k):
        return Full().allowed(b, h, q, k)

    def edit(self, logits, call):
        kept = logits >= logits.topk(min(self.n, logits.shape[-1]), -1).values[..., -1:]
        return logits.masked_fill(~kept, -torch.inf)


def test_a_choice_by_content():
    """Only the reference computes it; among what the rest of a conjunction allows, in either order; `|` refuses it."""
    q, k, v = tensors()
    assert (attend(q, k, v, pattern=Best(2), need_weights=True).weights > 0).sum(-1).unique().tolist() == [2]
    for pattern in (Best(2) & Causal(), Causal() & Best(2)):
        weights = attend(q, k, v, pattern=pattern, need_weights=True).weights
        assert (weights.triu(1) == 0).all() and (weights[:, :, 1:] > 0).sum(-1).unique().tolist() == [2]
        said = explain(q, k, v, pattern=pattern)
        assert said.chosen == "reference" and "by their content" in dict(said.lines)["sdpa"]


@pytest.mark.parametrize("other", [Causal(), Window(1), Global(1), Padding(torch.tensor([N, 3])), Prefix(2) & Causal()])
def test_a_choice_by_content_or_another(other):
    """`|`: the union of what each of the two sees on its own; `&` with a third is made first."""
    q, k, v = tensors()
    for third in (Full(), Causal()):
        for pattern in (Best(2) | other, other | Best(2)):
            got = attend(q, k, v, pattern=pattern & third, need_weights=True).weights > 0
            alone = attend(q, k, v, pattern=Best(2) & third, need_weights=True).weights > 0
            mask = dense(other & third).unsqueeze(1)
            assert torch.equal(got, alone | mask), pattern
    assert isinstance(Best(2) | Full(), Full) and (Best(2) | Global(0)) == Best(2)


def test_a_choice_by_content_knows_the_cache_and_the_bias():
    """Empty slots and keys that the bias forbids are never chosen, though the class says nothing of them."""
    q, k, v = tensors(q=2)
    places = torch.tensor([0, 1, -1, 2, -1, -1, 3])
    seen = attend(q, k, v, pattern=Best(3), q_pos=torch.tensor([4, 5]), k_pos=places, need_weights=True).weights > 0
    assert not seen[..., places < 0].any() and (seen.sum(-1) == 3).all()
    bias = torch.zeros(N, dtype=torch.float64)
    bias[1:] = -torch.inf
    seen = attend(q, k, v, pattern=Best(3), bias=bias, need_weights=True).weights > 0
    assert seen[..., 0].all() and not seen[..., 1:].any()


def test_top_k_with_ties_is_k():
    q, k, v = tensors()
    weights = attend(torch.zeros_like(q), k, v, pattern=TopK(3), need_weights=True).weights
    assert ((weights > 0).sum(-1) == 3).all()


@pytest.mark.parametrize("size", [1, 2, (2, 3), 9])
@pytest.mark.parametrize("grid", [(1, 1), (3, 4), (5, 2)])
@pytest.mark.parametrize("prefix", [0, 2])
def test_windows_on_a_grid(size, grid, prefix):
    """Rows and columns apart, by loops; tokens before the grid have no neighbours."""
    down, across = (size, size) if isinstance(size, int) else size
    mask = dense(Window2D(size, grid, prefix), *[prefix + grid[0] * grid[1]] * 2)[0]
    assert not mask[:prefix].any() and not mask[:, :prefix].any()
    for i in range(grid[0] * grid[1]):
        for j in range(grid[0] * grid[1]):
            (r, c), (s, d) = divmod(i, grid[1]), divmod(j, grid[1])
            assert mask[prefix + i, prefix + j] == (abs(r - s) < down and abs(c - d) < across)


def test_a_window_on_a_line_is_a_window():
    assert torch.equal(dense(Window2D(3, (1, N))), dense(Window(3)))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Window(0), "at least 1; got 0"),
        (lambda: Window2D(0, (2, 2)), "at least 1; got 0"),
        (lambda: Window2D(2, 4), "a grid"),
        (lambda: attend(*tensors(), pattern=Window2D(2, (2, 2))), "is for 0 . 4 tokens; got 7"),
        (lambda: TopK(0), "at least 1; got 0"),
        (lambda: Causal() & Window, "right is an object such as"),
        (lambda: Padding(), "one of them"),
        (lambda: Padding([3, 4]), r"takes a tensor.*\[3, 4\]"),
        (lambda: Padding(torch.ones(2).bool()), "holds integers; got torch.bool"),
        (lambda: Documents([0, 1]), "takes a tensor of ids"),
        (lambda: Documents(torch.zeros(3)), "holds integers; got torch.float32"),
        (lambda: Prefix(-1), "at least 0; got -1"),
        (lambda: Global(1.5), "whole number"),
        (lambda: attend(*tensors(), pattern=Causal), "pattern is an object"),
        (lambda: attend(*tensors(), score="dot"), "score is an object"),
        (lambda: attend(*tensors(), bias=torch.ones(7).bool()), "bias is added to the logits"),
        (lambda: Padding(mask=torch.ones(2, 7)), "boolean"),
        (lambda: attend(*tensors(), pattern=Padding(torch.tensor([1, 2, 3]))), r"\[2\]; got \[3\]"),
        (lambda: attend(*tensors(), pattern=Padding(torch.ones(2, 5).bool())), r"\[2, 7\]; got \[2, 5\]"),
        (lambda: attend(*tensors(), pattern=Causal() & Documents(torch.zeros(4).long())), r"got \[4\]"),
        (lambda: attend(*tensors(), pattern=Prefix(torch.tensor([1, 2, 3]))), r"\[2\]; got \[3\]"),
        (lambda: attend(*tensors(), bias=torch.zeros(3, 7)), r"bias \[1, 1, 3, 7\] does not broadcast"),
        (lambda: attend(*tensors(heads=3, kv=2)), "3 query heads cannot share 2"),
        (lambda: attend(*tensors(), dropout=1.5), "got 1.5"),
        (lambda: attend(*tensors(), kernel="spda"), "did you mean 'sdpa'"),
        (lambda: attend(*(x[0] for x in tensors())), "batch, heads, length, width"),
    ],
)  # fmt: skip
def test_errors_are_sentences(make, words):
    with pytest.raises(ZooError, match=words):
        make()
