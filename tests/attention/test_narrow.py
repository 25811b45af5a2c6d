"""Products with narrow heads: the same numbers, gradients of any order, in whatever calls them."""

import pytest
import torch

from zoo.attention import attend
from zoo.attention.ops import narrow


@pytest.mark.parametrize("width", [1, 4, 8, 9])
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_they_are_the_products(width, lead):
    q, k = torch.randn(*lead, 5, width), torch.randn(*lead, 7, width)
    w = torch.randn(*lead, 5, 7)
    torch.testing.assert_close(narrow.scores(q, k), q @ k.mT)
    torch.testing.assert_close(narrow.mixed(w, k), w @ k)
    if lead:
        torch.testing.assert_close(narrow.scores_on(w, q, k), w + q @ k.mT)
    torch.testing.assert_close(narrow.Gather.apply(w, q), w.mT @ q)
    assert (narrow.scores(q.requires_grad_(), k).grad_fn.name() == "OuterBackward") == (width <= narrow.NARROW)


@pytest.mark.parametrize("name", ["scores", "scores_on", "mixed", "gather"])
def test_gradients_of_both_orders(name):
    call = {
        "scores": narrow.scores,
        "scores_on": narrow.scores_on,
        "mixed": narrow.mixed,
        "gather": narrow.Gather.apply,
    }[name]
    shapes = {
        "scores": ((2, 3, 2), (2, 4, 2)),
        "scores_on": ((2, 3, 4), (2, 3, 2), (2, 4, 2)),
        "mixed": ((2, 3, 4), (2, 4, 2)),
        "gather": ((2, 3, 4), (2, 3, 2)),
    }[name]
    given = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(call, given)
    assert torch.autograd.gradgradcheck(call, given)


def test_forward_mode_is_left_to_torch():
    q, k, v = (torch.randn(2, 3, 4) for _ in range(3))
    out, tangent = torch.func.jvp(lambda q: attend(q[None], k[None], v[None], kernel="reference").out, (q,), (q,))
    assert out.shape == tangent.shape == (1, 2, 3, 4) and tangent.abs().sum() > 0


def test_a_part_that_needs_no_gradient_gets_none():
    q, k = torch.randn(3, 2, requires_grad=True), torch.randn(4, 2)
    narrow.scores(q, k).sum().backward()
    assert q.grad is not None and k.grad is None


def test_what_broadcasts_is_left_to_torch():
    q, k = torch.randn(2, 3, 4, requires_grad=True), torch.randn(1, 5, 4, requires_grad=True)
    narrow.scores(q, k).sum().backward()
    assert k.grad.shape == k.shape


def test_samples_one_by_one():
    q, k, v = torch.randn(3, 6, 2, 5, 4)
    one = torch.vmap(lambda q, k, v: narrow.mixed(narrow.scores(q, k), v))(q, k, v)
    torch.testing.assert_close(one, q @ k.mT @ v)


def test_narrow_attention_has_the_gradients_of_wide():
    """On heads padded with zeros, which are wide, the reference goes through torch's own products."""
    q, k, v = (torch.randn(2, 3, 6, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    wide = [torch.nn.functional.pad(x, (0, 28)) for x in (q * 32**0.5 / 2, k, v)]
    out = attend(q, k, v, kernel="reference").out
    like = attend(*wide, kernel="reference").out[..., :4]
    torch.testing.assert_close(out, like)
    for ours, theirs in zip(
        torch.autograd.grad(out.square().sum(), (q, k, v)),
        torch.autograd.grad(like.square().sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_autocast_trains():
    q = torch.randn(2, 3, 6, 4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = attend(q, q, q, kernel="reference").out
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16 and q.grad.dtype == torch.float32


def test_compiled_in_one_graph():
    q = torch.randn(2, 3, 6, 4, requires_grad=True)
    call = torch.compile(lambda q: attend(q, q, q, kernel="reference").out, backend="aot_eager", fullgraph=True)
    (ours,) = torch.autograd.grad(call(q).square().sum(), q)
    (like,) = torch.autograd.grad(attend(q, q, q, kernel="reference").out.square().sum(), q)
    torch.testing.assert_close(ours, like)
