"""Causal ProbSparse by its kernel: short rows all at once, long ones some at a time, both as the oracle says."""

import pytest
import torch

from zoo.attention import Causal, ProbSparse, attend
from zoo.attention.kernels import probsparse


@pytest.mark.parametrize("short", [0, 256])
@pytest.mark.parametrize("lazy", ["mean", "sum"])
@pytest.mark.parametrize("n", [1, 7, 90])
def test_both_ways_are_the_oracle(monkeypatch, short, lazy, n):
    monkeypatch.setattr(probsparse, "SHORT", short)
    torch.manual_seed(n)
    q, k, v = (torch.randn(2, 3, n, 16, dtype=torch.float64, requires_grad=True) for _ in range(3))
    pattern = ProbSparse(factor=1, lazy=lazy) & Causal()
    out, like = (attend(q, k, v, pattern=pattern, kernel=kernel).out for kernel in ("probsparse", "reference"))
    torch.testing.assert_close(out, like)
    seed = torch.randn_like(out)
    for ours, theirs in zip(*(torch.autograd.grad(each, (q, k, v), seed) for each in (out, like)), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_hides_what_comes_later(monkeypatch, dtype):
    monkeypatch.setattr(probsparse, "SHORT", 0)
    q, k, v = (torch.randn(1, 2, 40, 16).to(dtype) for _ in range(3))
    pattern = ProbSparse() & Causal()
    before = attend(q, k, v, pattern=pattern, kernel="probsparse").out
    v = v.clone()
    v[:, :, -1] = 100
    after = attend(q, k, v, pattern=pattern, kernel="probsparse").out
    assert torch.equal(before[:, :, :-1], after[:, :, :-1]) and before.isfinite().all()
