"""Linear maps by oneDNN: the numbers of torch's own and gradients of both orders; what it is not for is left to torch."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.flop_counter import FlopCounterMode

from zoo.adapters.linear import adapted, plain
from zoo.attention import Linear
from zoo.attention.linear import is_linear
from zoo.attention.ops import product


@pytest.fixture
def every_size(monkeypatch):
    """Small ones too, so that float32 is compared where it says much."""
    monkeypatch.setattr(product, "LEAST", 1)
    monkeypatch.setattr(product, "ROWS", 1)
    monkeypatch.setattr(product, "NARROW", 1)


def given(lead, inputs, outputs, bias):
    draw = torch.Generator().manual_seed(0)
    sizes = (*lead, inputs), (outputs, inputs), (outputs,)
    x, weight, b = (torch.randn(size, generator=draw).requires_grad_() for size in sizes)
    return x, weight, b if bias else None


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "outputs"), [(6, 20), (20, 6), (8, 8)])
@pytest.mark.parametrize("lead", [(5,), (2, 5)])
def test_numbers_and_gradients_of_both_orders(every_size, lead, inputs, outputs, bias):
    x, weight, b = given(lead, inputs, outputs, bias)
    wanted = [each for each in (x, weight, b) if each is not None]
    ours, theirs = product.linear(x, weight, b), F.linear(x, weight, b)
    assert ours.grad_fn.name() == "ProductBackward"
    torch.testing.assert_close(ours, theirs)
    back = torch.randn_like(ours)
    for g in (back, torch.ones(1).expand_as(ours), back.mT.contiguous().mT):  # as they come from losses and from views
        first = [torch.autograd.grad(y, wanted, g, create_graph=True) for y in (ours, theirs)]
        torch.testing.assert_close(*first)
        second = [torch.autograd.grad(sum(each.square().sum() for each in of), [x, weight]) for of in first]
        torch.testing.assert_close(*second)


def test_pieces_of_matrices(every_size):
    """Rows and columns of others, as recurrent cells have them."""
    x, weight, b = given((4, 7), 12, 9, True)
    for rows, matrix in (
        (x[:, 1:], weight),
        (x[:, :, :5], weight[:, :5]),
        (x[:, 2], weight[:, 5:].t().contiguous().t()),
    ):
        rows = rows[..., : matrix.shape[1]]
        torch.testing.assert_close(product.linear(rows, matrix, b), F.linear(rows, matrix, b))
        dense = product.dense(matrix)  # or it would take a hundred times as long
        assert dense.is_contiguous() or dense.t().is_contiguous()
        torch.testing.assert_close(dense, matrix, rtol=0, atol=0)


def test_a_part_that_needs_no_gradient_gets_none(every_size):
    x, weight, b = given((5,), 6, 8, True)
    for asked in ([x], [weight], [b]):
        mine = [each if any(each is other for other in asked) else each.detach() for each in (x, weight, b)]
        y = product.linear(*mine)
        torch.testing.assert_close(
            torch.autograd.grad(y.sum(), asked), torch.autograd.grad(F.linear(*mine).sum(), asked)
        )
    assert product.linear(x.detach(), weight.detach()).grad_fn is None


def test_left_to_torch(every_size):
    """Other types, autocast, whoever counts operations, transforms of functions, forward-mode gradients, few rows."""
    x, weight, _ = given((5,), 6, 8, False)
    assert product._is_ours(x, weight, None)
    assert not product._is_ours(x.double(), weight.double(), None)
    assert not product._is_ours(x, weight, torch.zeros(8, dtype=torch.float64))
    with torch.autocast("cpu", torch.bfloat16):
        assert product.linear(x, weight).dtype == torch.bfloat16
    with FlopCounterMode(display=False) as counter:
        product.linear(x, weight)
    assert counter.get_total_flops() == 2 * 5 * 6 * 8
    out, tangent = torch.func.jvp(lambda x: product.linear(x, weight), (x,), (x,))
    torch.testing.assert_close(out, tangent)
    one = torch.vmap(lambda x: product.linear(x, weight))(torch.stack([x, x]))
    torch.testing.assert_close(one[0], out)


@pytest.mark.filterwarnings("ignore:Sparse (CSR|invariant):UserWarning")  # torch's, of a layout in beta
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("layout", [torch.sparse_csr, torch.sparse_coo])
def test_sparse_rows_are_torchs(every_size, layout, grad):
    """Words of a paper are mostly 0: a GAT on Cora reads them so, in training and in evaluation."""
    x, weight, b = given((5,), 6, 8, True)
    dense = x.detach().where(x > 0, 0)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(
            product.linear(dense.to_sparse(layout=layout), weight, b), F.linear(dense, weight, b)
        )


def programs(function, *inputs, **options):
    """What torch.compile makes of a function: its output, and the names of the operations in each program."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    out = torch.compile(function, backend=counter, fullgraph=True, **options)(*inputs)
    return out, [[str(node.target) for node in graph.graph.nodes] for graph in counter.graphs]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "outputs"), [(6, 20), (20, 6)])
def test_compiled(every_size, inputs, outputs, bias):
    """One operation, in one program, with torch's numbers and gradients."""
    x, weight, b = given((2, 5), inputs, outputs, bias)
    wanted = [each for each in (x, weight, b) if each is not None]
    ours, (names,) = programs(product.linear, x, weight, b)
    theirs = F.linear(x, weight, b)
    assert "zoo.product.default" in names
    torch.testing.assert_close(ours, theirs)
    for g in (torch.randn_like(ours), torch.ones(1).expand_as(ours)):
        torch.testing.assert_close(*(torch.autograd.grad(y, wanted, g, retain_graph=True) for y in (ours, theirs)))
    for each in ("test_schema", "test_autograd_registration", "test_faketensor"):
        torch.library.opcheck(product.compiled, (x, weight, b), test_utils=each)


def test_compiled_with_a_size_that_is_a_symbol(monkeypatch):
    """A comparison with a threshold would compile a program for either side of it: one for all, which looks as it runs."""
    monkeypatch.setattr(product, "LEAST", 6 * 8 * 8)
    monkeypatch.setattr(product, "NARROW", 1)
    x, weight, b = given((32,), 6, 8, True)
    torch._dynamo.reset()
    function = torch.compile(product.linear, backend="aot_eager", fullgraph=True, dynamic=True)
    asked = []
    monkeypatch.setattr(product, "_product", lambda x, *rest: asked.append(len(x)) or F.linear(x, *rest))
    with torch._dynamo.config.patch(error_on_recompile=True):
        for rows in (32, 4, 19):
            torch.testing.assert_close(function(x.detach()[:rows].clone(), weight, b), F.linear(x[:rows], weight, b))
    assert asked == [32, 19]


def test_a_smaller_last_batch_does_not_cost_the_others_onednn(monkeypatch, every_size):
    """torch.compile makes a program of open sizes at the second size, and takes it for the first one too from then on."""
    x, weight, b = given((12,), 6, 8, True)
    torch._dynamo.reset()
    function, asked, own = torch.compile(product.linear, backend="aot_eager"), [], product._product
    monkeypatch.setattr(product, "_product", lambda x, *rest: asked.append(len(x)) or own(x, *rest))
    for rows in (12, 12, 9, 12, 7, 12):
        now = x.detach()[:rows].clone().requires_grad_()
        ours, theirs = function(now, weight, b), F.linear(now, weight, b)
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(*(torch.autograd.grad(y.sum(), [now, weight, b]) for y in (ours, theirs)))
    assert [rows for rows in asked if rows in (12, 9, 7)][::2] == [12, 12, 9, 12, 7, 12]  # each there and back


def test_compiled_for_others(every_size):
    """Transforms within a program, and programs that are exported, have torch's operation."""
    x, weight, b = given((3, 5), 6, 8, True)
    out, _ = programs(lambda x: torch.vmap(lambda x: product.linear(x, weight, b))(x), x)
    torch.testing.assert_close(out, F.linear(x, weight, b))
    out, _ = programs(lambda x: torch.func.jvp(lambda x: product.linear(x, weight), (x,), (x,))[1], x)
    torch.testing.assert_close(out, F.linear(x, weight))
    exported = torch.export.export(Linear(6, 8), (x,))
    assert "zoo" not in str(exported.graph)


def test_small_products_are_torchs():
    """In a program too: a row of a decoder's step."""
    x, weight, _ = given((5,), 64, 80, False)
    assert product.linear(x, weight).grad_fn.name() != "ProductBackward"
    _, (names,) = programs(product.linear, x, weight, None)
    assert "zoo.product.default" not in names
    torch.testing.assert_close(product.compiled(x.mT.contiguous().mT, weight, None), F.linear(x, weight))


def test_sympy_is_not_loaded_with_attention():
    """Which takes half a second, and torch needs only where it compiles."""
    told = "import sys, zoo.attention; assert 'sympy' not in sys.modules"
    subprocess.run([sys.executable, "-c", told], check=True)


@pytest.mark.parametrize("inputs, outputs, ours", [(64, 64, True), (16, 512, False), (512, 16, False)])
def test_narrow_ones_are_torchs_in_a_program(inputs, outputs, ours):
    """PatchTST's training step, 16 wide, took a sixth more time with ours."""
    x, weight, b = given((1024,), inputs, outputs, True)
    _, (names,) = programs(product.linear, x, weight, b)
    assert ("zoo.product.default" in names) == ours
    assert product.linear(x, weight, b).grad_fn.name() == "ProductBackward"


def test_a_linear_is_one_and_adapted_it_is_another():
    """Its names and its start are torch's; an adapter is taken off again to what there was."""
    torch.manual_seed(0)
    mine = Linear(6, 8)
    torch.manual_seed(0)
    theirs = nn.Linear(6, 8)
    torch.testing.assert_close(mine.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    for linear in (mine, theirs):
        kind = type(linear)
        assert is_linear(linear)
        adapted(linear, [])
        assert not is_linear(linear) and isinstance(linear, Linear)
        plain(linear)
        assert type(linear) is kind and is_linear(linear)
