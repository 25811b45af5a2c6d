"""Attention along the edges of a graph on a GPU, in one pass: scores, softmax over a target's edges and the weighted sum.

Memory is that of the nodes: of an edge nothing is kept, forward saves the logsumexp [T, G] besides the output, and backward
computes again (as FlashAttention does, Dao et al. 2022; here over runs of sorted edges). Results repeat bit by bit (D6).
Triton is imported at the first call, so machines without it can import this.
"""

import os

import torch
from torch import Tensor

from zoo.attention.ops.csr import CSR
from zoo.errors import ZooError

MAX_WIDTH = 256  # a tile of rows is kept in registers
PARTIAL_SUMS = 4096  # at most so many of du's, each [G, W]


def available() -> bool:
    """Whether there are Triton and a GPU (or its interpreter on a CPU, TRITON_INTERPRET=1, for tests)."""
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return torch.cuda.is_available() or _interpreted()


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def edge_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    csr: CSR,
    *,
    u: Tensor | None = None,
    edge: Tensor | None = None,
    bias: Tensor | None = None,
    keep: Tensor | None = None,
    form: str,
    act: str = "leaky_relu:0.2",
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """out_t = sum_e a_e keep_e v_s over the edges e = (s -> t) of t, a = softmax over them of

        added: scale sum_w u_w act(q_tw + k_sw + edge_ew) + bias_e        dot: scale q_t . k_s + bias_e

    Args:
        q: [T, G, W], k: [S, G, W], v: [S, G, D] of T targets, S sources and G heads; W and D up to 256.
        csr: the sorted edges; edge, bias and keep lie in its target-sorted order.
        u: [G, W], for added; None: ones (GAT, W = 1).
        edge: [E, G, W], for added.
        bias: [G, E], -inf forbids an edge.
        keep: [G, E], what dropout multiplies the weights by, 0 or 1 / (1 - p).
        form: "added" or "dot".
        act: "leaky_relu:slope" or "tanh", for added.
        scale: a number.

    Returns:
        out [T, G, D] in v's dtype, and the logsumexp of the logits [T, G] in float32 (float64 for float64 inputs). A target
        that sees no edge gets 0 and -inf. Gradients go to all but keep; sums are taken in the logsumexp's dtype.

    Raises:
        ZooError: another form or act, shapes that do not fit, wider than 256, tensors that are not on a GPU.
    """
    if form not in ("added", "dot"):
        raise ZooError(f"form is 'added' or 'dot'; got {form!r}.")
    if form == "dot" and not (u is None and edge is None):
        raise ZooError("A dot score has neither u nor edge: add edge to k's rows first, or use form='added'.")
    slope = _slope(act) if form == "added" else None
    if form == "added" and u is None:
        u = q.new_ones(q.shape[1:])
    _check(q, k, v, csr, u, edge, bias, keep)
    plan = csr.rowptr, csr.col, csr.t_rowptr, csr.t_col, csr.t_order
    return _forward(q, k, v, u, edge, bias, keep, *plan, form == "dot", slope, float(scale))


def _slope(act: str) -> float | None:
    """The slope in "leaky_relu:0.2"; None for "tanh"."""
    name, _, slope = act.partition(":")
    try:
        return {"tanh": lambda: None, "leaky_relu": lambda: float(slope)}[name]()
    except (KeyError, ValueError):
        raise ZooError(f"act is 'leaky_relu:0.2' (any slope) or 'tanh'; got {act!r}.") from None


def _check(q, k, v, csr, u, edge, bias, keep) -> None:
    (T, G, W), S, E = q.shape, k.shape[0], csr.col.shape[0]
    wanted = {
        "q": (q, (csr.rowptr.shape[0] - 1, G, W)), "k": (k, (csr.t_rowptr.shape[0] - 1, G, W)),
        "v": (v, (S, G, v.shape[-1])), "u": (u, (G, W)), "edge": (edge, (E, G, W)),
        "bias": (bias, (G, E)), "keep": (keep, (G, E)),
    }  # fmt: skip
    for name, (tensor, shape) in wanted.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ZooError(
                f"{name} should be {list(shape)} for these edges and q [T, G, W] = {[T, G, W]}; got {list(tensor.shape)}."
            )
    if max(W, v.shape[-1]) > MAX_WIDTH:
        raise ZooError(
            f"The fused edge kernel takes heads up to {MAX_WIDTH} wide; q has {W}, v {v.shape[-1]}: use another kernel."
        )
    if not (q.is_cuda or _interpreted()):
        raise ZooError(
            f"The fused edge kernel runs on a GPU; q is on {q.device}: move it there, or use another kernel."
        )


@torch.library.custom_op("zoo::edge_attention", mutates_args=())
def _forward(
    q: Tensor, k: Tensor, v: Tensor, u: Tensor | None, edge: Tensor | None, bias: Tensor | None, keep: Tensor | None,
    rowptr: Tensor, col: Tensor, t_rowptr: Tensor, t_col: Tensor, t_order: Tensor,
    dot: bool, slope: float | None, scale: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    from zoo.attention.ops import edge_triton_kernels as kernels

    q, k, v, u, edge, bias, keep = _contiguous(q, k, v, u, edge, bias, keep)
    out, lse = _empty(q, k, v)
    T, G, D = out.shape
    _launch(
        kernels.forward, (T, G), q, k, v, u, edge, bias, keep, rowptr, col, out, lse, col.shape[0], G,
        dot=dot, slope=slope, scale=scale, W=q.shape[2], D=D,
    )  # fmt: skip
    return out, lse


@_forward.register_fake
def _(q, k, v, *rest):
    return _empty(q, k, v)


def _empty(q, k, v) -> tuple[Tensor, Tensor]:
    wide = torch.promote_types(torch.promote_types(q.dtype, k.dtype), torch.promote_types(v.dtype, torch.float32))
    return v.new_empty(q.shape[0], *v.shape[1:]), q.new_empty(q.shape[:2], dtype=wide)


@torch.library.custom_op("zoo::edge_attention_backward", mutates_args=())
def _backward(
    q: Tensor, k: Tensor, v: Tensor, u: Tensor | None, edge: Tensor | None, bias: Tensor | None, keep: Tensor | None,
    rowptr: Tensor, col: Tensor, t_rowptr: Tensor, t_col: Tensor, t_order: Tensor,
    dot: bool, slope: float | None, scale: float,
    out: Tensor, lse: Tensor, dout: Tensor, dlse: Tensor, needs: list[bool],
) -> list[Tensor]:  # fmt: skip
    """The gradients of q, k, v, u, edge, bias; an empty tensor for each that is not needed."""
    from zoo.attention.ops import edge_triton_kernels as kernels

    q, k, v, u, edge, bias, keep = inputs = _contiguous(q, k, v, u, edge, bias, keep)
    out, lse, dout, dlse = _contiguous(out, lse, dout, dlse)
    (T, G, W), E, (S, _, D) = q.shape, col.shape[0], v.shape
    dq, dk, dv, du, dedge, dbias = grads = [
        torch.empty_like(x) if x is not None and need else None for x, need in zip(inputs[:6], needs, strict=True)
    ]
    delta = torch.empty_like(lse)
    targets = 1 if du is None else max(1, -(-T // PARTIAL_SUMS))
    sums = None if du is None else lse.new_empty(-(-T // targets), G, W)
    how = dict(dot=dot, slope=slope, scale=scale, W=W, D=D)
    _launch(
        kernels.backward_by_target, (-(-T // targets), G), *inputs, rowptr, col, out, lse, dout, dlse,
        dq, sums, dedge, dbias, delta, T, E, G, targets, **how,
    )  # fmt: skip
    if not (dk is None and dv is None):
        _launch(
            kernels.backward_by_source, (S, G), *inputs, t_rowptr, t_col, t_order, lse, dout, delta, dk, dv, E, G, **how
        )
    if sums is not None:
        grads[3] = sums.sum(0).to(u.dtype)
    return [q.new_empty(0) if grad is None else grad for grad in grads]


@_backward.register_fake
def _(q, k, v, u, edge, bias, *rest):
    needs = zip((q, k, v, u, edge, bias), rest[-1], strict=True)
    return [torch.empty_like(x, memory_format=torch.contiguous_format) if need else q.new_empty(0) for x, need in needs]


def _save(ctx, inputs, output):
    *tensors, ctx.dot, ctx.slope, ctx.scale = inputs
    ctx.save_for_backward(*tensors, *output)


def _derivative(ctx, dout, dlse):
    *tensors, out, lse = ctx.saved_tensors
    needs = list(ctx.needs_input_grad[:6])
    grads = _backward(*tensors, ctx.dot, ctx.slope, ctx.scale, out, lse, dout, dlse, needs)
    return *(grad if need else None for grad, need in zip(grads, needs, strict=True)), *[None] * 9


_forward.register_autograd(_derivative, setup_context=_save)


def _contiguous(*tensors):
    return [None if x is None else x.contiguous() for x in tensors]


def _launch(kernel, grid, *args, dot, slope, scale, W, D) -> None:
    """Tiles of about 1024 numbers, 32 for each thread of a warp: more would spill, and most nodes have few edges."""
    if 0 in grid:
        return
    block_w, block_d = (1 << (width - 1).bit_length() for width in (W, D))
    block_e = min(32, max(8, 1024 // max(block_w, block_d)))
    with torch.cuda.device_of(args[0]):
        kernel[grid](
            *args, DOT=dot, SLOPE=slope, SCALE=scale, W=W, D=D, BLOCK_E=block_e, BLOCK_W=block_w, BLOCK_D=block_d,
            num_warps=max(1, block_e * max(block_w, block_d) // 1024), enable_fp_fusion=True,
        )  # fmt: skip
