"""The fused edge kernel against plain torch in float64: on a GPU, and on a CPU by Triton's interpreter (a process of its own,
as Triton decides at import which of the two it is). Without a GPU the kernels are still compiled, to see that they do."""

import os
import subprocess
import sys

import pytest
import torch

from zoo.attention.ops import edge_triton
from zoo.attention.ops.csr import sort_edges
from zoo.attention.ops.edge_triton import available, edge_attention
from zoo.errors import ZooError

#: error relative to the norm; gradients are made of `out` as it is rounded
DTYPES = {"float64": 1e-12, "float32": 5e-5, "bfloat16": 5e-2}

#: name -> (form, act, W, D, targets, sources, edges, the optional tensors, scale)
CASES = {
    "gat": ("added", "leaky_relu:0.2", 1, 5, 6, 6, 20, "", 1.0),
    "gatv2, all options": ("added", "leaky_relu:0.2", 3, 5, 6, 6, 30, "u edge bias keep", 1.0),
    "tanh, to fewer": ("added", "tanh", 5, 3, 3, 5, 20, "u bias", 0.7),
    "dot, to more": ("dot", "tanh", 3, 8, 6, 3, 20, "bias keep", 0.6),
    "hub": ("dot", "tanh", 4, 4, 3, 8, 150, "bias", 0.5),
    "huge scores": ("added", "leaky_relu:0.1", 2, 2, 4, 4, 12, "u", 2.0**13),
    "no edges": ("added", "tanh", 2, 3, 3, 2, 0, "u edge bias keep", 1.0),
    "no targets": ("dot", "tanh", 2, 3, 0, 2, 0, "", 1.0),
    "no sources": ("dot", "tanh", 2, 3, 2, 0, 0, "", 1.0),
}
LARGE = {
    "gatv2 of 64": ("added", "leaky_relu:0.2", 64, 64, 300, 300, 4000, "u edge bias keep", 1.0),
    "gat of 64": ("added", "leaky_relu:0.2", 1, 64, 300, 200, 4000, "keep", 1.0),
    "dot of 256": ("dot", "tanh", 256, 256, 100, 300, 2000, "bias keep", 1 / 16),
    "tanh of 33": ("added", "tanh", 33, 100, 100, 100, 2000, "u edge", 1.0),
    "large hub": ("dot", "tanh", 32, 32, 3, 500, 30_000, "bias", 0.2),
}


def make(case, dtype=torch.float64, device="cpu", heads=2):
    """(q, k, v), the plan, the options. Double edges; the last target is isolated, the one before forbidden by the bias."""
    form, act, W, D, T, S, E, options, scale = case
    draw = torch.Generator().manual_seed(1)
    edge_index = torch.stack(
        [torch.randint(0, max(S, 1), (E,), generator=draw), torch.randint(0, max(T - 1, 1), (E,), generator=draw)]
    )
    edge_index[:, : E // 2] = edge_index[:, E // 2 :][:, : E // 2] if E < 100 else torch.tensor([[1], [0]])  # a hub
    csr = sort_edges(edge_index.to(device), S, T)

    def normal(*shape):
        values = torch.randn(shape, generator=draw, dtype=torch.float64)
        return values.to(device, dtype).requires_grad_()

    G = heads
    shapes = {"u": (G, W), "edge": (E, G, W), "bias": (G, E), "keep": (G, E)}
    extra = {name: normal(*shapes[name]) for name in options.split()}
    with torch.no_grad():
        if "bias" in extra:
            forbidden = (torch.rand(G, E, generator=draw) < 0.3).to(device) | (csr.row == T - 2)
            extra["bias"] += torch.linspace(
                0, 5, E, dtype=dtype, device=device
            )  # the largest logit rises along the run
            extra["bias"][forbidden] = -torch.inf
        if "keep" in extra:
            extra["keep"] = (torch.rand(G, E, generator=draw) < 0.5).to(device, dtype) / 0.5
    return (normal(T, G, W), normal(S, G, W), normal(S, G, D)), csr, extra, dict(form=form, act=act, scale=scale)


def reference(q, k, v, csr, u=None, edge=None, bias=None, keep=None, *, form, act, scale):
    """Every pair of target and edge, those of other targets masked: [T, G, E]."""
    x = q[csr.row], k[csr.col]
    if form == "dot":
        logits = (x[0] * x[1]).sum(-1) * scale
    else:
        x = x[0] + x[1] + (0 if edge is None else edge)
        x = x.tanh() if act == "tanh" else torch.nn.functional.leaky_relu(x, float(act.split(":")[1]))
        logits = (x * (1 if u is None else u)).sum(-1) * scale
    logits = logits.T if bias is None else logits.T + bias
    seen = (csr.row == torch.arange(len(q), device=q.device)[:, None])[:, None] & (logits > -torch.inf)
    dead = ~seen.any(-1, keepdim=True)
    logits = torch.where(seen, logits, -torch.inf).masked_fill(dead, 0)
    weights = torch.softmax(logits, -1).masked_fill(dead, 0)
    if keep is not None:
        weights = weights * keep
    return torch.einsum("tge,egd->tgd", weights, v[csr.col]), logits.logsumexp(-1).masked_fill(dead[..., 0], -torch.inf)


def check(case, dtype="float64", device="cpu"):
    """Output, logsumexp and all gradients (through both), against those of the same numbers in float64."""
    qkv, csr, extra, how = make(case, getattr(torch, dtype), device)
    inputs = [*qkv, *(x for name, x in extra.items() if name != "keep")]
    wide = [x.detach().double().requires_grad_() for x in inputs]
    wide_extra = dict(zip([name for name in extra if name != "keep"], wide[3:], strict=True))
    if "keep" in extra:
        wide_extra["keep"] = extra["keep"].double()
    out, lse = edge_attention(*qkv, csr, **extra, **how)
    expected, expected_lse = reference(*wide[:3], csr, **wide_extra, **how)
    assert out.dtype == qkv[2].dtype
    assert lse.dtype == (torch.float64 if dtype == "float64" else torch.float32)
    seen = expected_lse > -torch.inf
    assert torch.equal(lse > -torch.inf, seen)
    assert not out[~seen].any(), "D3: a target that sees nothing gets 0"
    torch.manual_seed(0)
    a, b = torch.randn_like(expected), torch.randn_like(expected_lse)
    a = a.to(out.dtype)
    got = torch.autograd.grad((out * a).sum() + (lse * b.to(lse.dtype))[seen].sum(), inputs)
    want = torch.autograd.grad((expected * a.double()).sum() + (expected_lse * b)[seen].sum(), wide)
    pairs = [(out, expected), (lse[seen], expected_lse[seen]), *zip(got, want, strict=True)]
    tolerance = min(
        DTYPES[dtype] * max(1.0, how["scale"]), 0.05
    )  # the gradients of q and k are scale times the logits'
    for which, (x, y) in enumerate(pairs):
        error = (x.double() - y).norm() / (1 + y.norm())
        assert error <= tolerance, (which, float(error))  # NaN is not


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*CASES, *LARGE])
def test_equals_plain_torch(name, dtype):
    check((CASES | LARGE)[name], dtype, "cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("name", LARGE)
def test_repeats_bit_by_bit(name):
    """D6: no atomics, so two runs agree to the bit."""
    qkv, csr, extra, how = make(LARGE[name], torch.float32, "cuda")
    inputs = [*qkv, *(x for x in extra.values() if x.requires_grad)]

    def run():
        out, lse = edge_attention(*qkv, csr, **extra, **how)
        return [out, lse, *torch.autograd.grad(out.square().sum(), inputs)]

    assert all(map(torch.equal, run(), run()))


@pytest.mark.gpu
def test_memory_is_that_of_nodes():
    """D7: forward and backward take less than one row for each edge."""
    case = ("added", "leaky_relu:0.2", 64, 64, 20_000, 20_000, 1_000_000, "u", 1.0)
    qkv, csr, extra, how = make(case, torch.float32, "cuda", heads=4)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    torch.autograd.grad(edge_attention(*qkv, csr, **extra, **how)[0].sum(), [*qkv, extra["u"]])
    assert torch.cuda.max_memory_allocated() - before < 1_000_000 * 4 * 64 * 4 / 4


@pytest.mark.gpu
def test_nan_stays_where_nobody_looks():
    nan_stays_where_nobody_looks("cuda")


@pytest.mark.gpu
def test_compiles_whole():
    compiles("cuda", "inductor")


def compiles(device, backend):
    """D8: one graph, forward and backward, and the same numbers."""
    qkv, csr, extra, how = make(CASES["gatv2, all options"], torch.float32, device)

    def loss(q, k, v, extra):
        return edge_attention(2 * q, k, v, csr, **extra, **how)[0].square().sum()

    eager = torch.autograd.grad(loss(*qkv, extra), qkv)
    whole = torch.compile(loss, fullgraph=True, backend=backend)
    for got, want in zip(torch.autograd.grad(whole(*qkv, extra), qkv), eager, strict=True):
        torch.testing.assert_close(got, want)


def op_is_registered_well():
    """Schema, fake tensors and autograd registration agree with what the op does."""
    qkv, csr, extra, _ = make(CASES["gatv2, all options"])
    plan = csr.rowptr, csr.col, csr.t_rowptr, csr.t_col, csr.t_order
    options = (extra["u"], extra["edge"], extra["bias"], extra["keep"])
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(edge_triton._forward, (*qkv, *options, *plan, False, 0.2, 1.0), test_utils=tests)


def nan_stays_where_nobody_looks(device="cpu"):
    """A source that all are forbidden to see may hold NaN: same output and gradients as with any numbers there."""
    qkv, csr, extra, how = make(CASES["tanh, to fewer"], device=device, heads=1)
    extra["bias"] = torch.where(csr.col == 0, -torch.inf, extra["bias"].detach())
    results = []
    for there in (0.5, torch.nan):
        for x in qkv[1:]:
            x.data[0] = there
        out = edge_attention(*qkv, csr, **extra, **how)[0]
        results.append([out, *torch.autograd.grad(out.square().sum(), qkv)])
    assert all(map(torch.equal, *results))


def many_targets():
    """du is summed over several targets in a program when there are many."""
    edge_triton.PARTIAL_SUMS = 4  # of 6 targets: programs of 2
    check(CASES["gatv2, all options"])


def interpreted():
    """What the process with TRITON_INTERPRET=1 does."""
    for name, case in CASES.items():
        check(case)
        print("ok:", name)
    check(CASES["gatv2, all options"], "float32")
    check(CASES["dot, to more"], "bfloat16")
    op_is_registered_well()
    compiles("cpu", "aot_eager")
    nan_stays_where_nobody_looks()
    many_targets()
    print("all well")


needs_triton = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('triton')", reason="needs Triton")


@needs_triton
def test_interpreter_equals_plain_torch(root):
    """All cases in float64, one each in float32 and bfloat16; under torch.compile (D8); NaN behind a forbidden edge."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.attention.test_edge_triton"],
        cwd=root, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.endswith("all well\n"), done.stdout + done.stderr


@needs_triton
@pytest.mark.parametrize("kernel", ["forward", "backward_by_target", "backward_by_source"])
def test_kernels_compile_without_a_gpu(kernel, tmp_path, monkeypatch):
    """To machine code of an A100, with all options and with none: what the interpreter allows the compiler may not."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from zoo.attention.ops import edge_triton_kernels

    kernel = getattr(edge_triton_kernels, kernel)
    optional = {"u", "edge", "bias", "keep", "du", "dedge", "dbias"}
    for options in (optional, set()):
        fixed = dict(DOT=not options, SLOPE=0.2, SCALE=0.1, W=3, D=64, BLOCK_E=16, BLOCK_W=4, BLOCK_D=64)
        fixed |= dict.fromkeys(optional - options)
        types = dict.fromkeys(("rowptr", "col", "t_rowptr", "t_col", "t_order"), "*i64") | dict.fromkeys("TEG", "i32")
        types |= {"TARGETS": "i32"} | dict.fromkeys(fixed, "constexpr")
        signature = {name: types.get(name, "*fp32") for name in kernel.arg_names}
        source = ASTSource(kernel, signature, {name: x for name, x in fixed.items() if name in signature})
        made = compile(source, target=GPUTarget("cuda", 80, 32), options=dict(num_warps=1, enable_fp_fusion=True))
        assert made.asm["cubin"]


def test_refused_with_a_reason(monkeypatch):
    (q, k, v), csr, extra, how = make(CASES["gatv2, all options"])
    for change, word in [
        (dict(form="sum"), "'added' or 'dot'"), (dict(form="dot", u=extra["u"]), "neither u nor edge"),
        (dict(act="gelu"), "leaky_relu"), (dict(act="leaky_relu"), "leaky_relu:0.2"), (dict(bias=extra["bias"][:, 1:]), "bias"),
        (dict(), "runs on a GPU"),
    ]:  # fmt: skip
        with pytest.raises(ZooError, match=word):
            edge_attention(q, k, v, csr, **{**how, **change})
    with pytest.raises(ZooError, match="256 wide"):
        edge_attention(q, k, v.expand(-1, -1, 5).repeat(1, 1, 60), csr, **how)
    monkeypatch.setitem(sys.modules, "triton", None)  # as where it is not installed
    assert not available()


if __name__ == "__main__":
    interpreted()
