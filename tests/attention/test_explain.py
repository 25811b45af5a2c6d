"""Am I on the fast path, and if not, why?"""

import pytest
import torch

from tests.attention.examples import tensors
from zoo.attention import KERNELS, LSH, Additive, AttentionCall, Causal, LinearFeatures, ProbSparse, attend, explain
from zoo.attention.dispatch import choose_kernel
from zoo.errors import ZooError

NAMES = [kernel.name for kernel in KERNELS]


def wide(**how):
    return [torch.randn(2, 4, 5, 16) for _ in range(3)], how


def test_names():
    assert sorted(NAMES) == ["edge_fused", "edge_list", "flex", "linear", "lsh", "probsparse", "reference", "sdpa"]


@pytest.mark.parametrize(
    "how, chosen",
    [
        ({}, "sdpa"), ({"pattern": Causal()}, "sdpa"), ({"dropout": 0.1}, "sdpa"), ({"bias": torch.zeros(5, 5)}, "sdpa"),
        ({"score": LinearFeatures()}, "linear"), ({"score": LinearFeatures(), "dropout": 0.1}, "reference"),
        ({"score": Additive(16)}, "reference"), ({"need_weights": True}, "reference"),
    ],
)  # fmt: skip
def test_one_line_a_kernel(how, chosen):
    q_k_v, how = wide(**how)
    said = explain(*q_k_v, **how)
    lines = str(said).splitlines()
    assert [line.split(":")[0] for line in lines] == NAMES and said.chosen == chosen
    for line, kernel in zip(lines, KERNELS, strict=True):
        call = AttentionCall(*q_k_v, **how)
        if reasons := kernel.why_not(call):
            assert all(reason in line for reason in reasons)
        else:
            assert line == f"{kernel.name}: runs" or line.startswith(f"{kernel.name}: slower here: ")


@pytest.mark.parametrize("n, chosen", [(300, "reference"), (600, "lsh")])
def test_short_rows_are_hashed_by_the_matrix(n, chosen):
    q = k = v = torch.randn(1, 2, n, 16)
    assert explain(q, k, v, pattern=LSH(bucket=8)).chosen == chosen
    assert explain(q, k, v, pattern=ProbSparse()).chosen == "probsparse"


def test_tiny_heads_on_a_cpu_take_two_matrix_products():
    q, k, v = (x.detach()[..., :4] for x in tensors())
    assert explain(q, k, v).chosen == "reference" and "slower here" in str(explain(q, k, v)).splitlines()[0]
    assert choose_kernel(AttentionCall(q, k, v), "sdpa").name == "sdpa", "a pinned kernel is never passed over"


def test_a_pinned_kernel_never_falls_back():
    q_k_v, _ = wide()
    with pytest.raises(ZooError) as error:
        attend(*q_k_v, score=Additive(16), kernel="sdpa")
    for name in NAMES:
        assert f"{name}:" in str(error.value)
    assert "Additive is not a dot product" in str(error.value)
    assert explain(*q_k_v, score=Additive(16), kernel="sdpa").chosen is None
