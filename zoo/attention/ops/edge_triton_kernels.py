"""The Triton kernels of edge_triton.py: a program is a (node, head), and walks its run of edges a block at a time.

    logit_e = scale sum_w u_w act(q_tw + k_sw + edge_ew) + bias_e       or       scale q_t . k_s + bias_e      (DOT)
    a_e = exp(logit_e - lse_t),   out_t = sum_e a_e keep_e v_s,   lse_t = log sum_e exp(logit_e)

Nothing of an edge is saved: the backward computes logits again from lse, once by target (dq, du, dedge, dbias) and once by
source (dk, dv), so that no two programs add to the same place and results repeat bit by bit. The other end of a forbidden edge
(bias -inf) is not read. Rows lie as [N, G, width]; a tile is [BLOCK_E edges, width padded to a power of two]; sums are in
lse's dtype.
"""

import triton
import triton.language as tl


@triton.jit
def forward(
    q, k, v, u, edge, bias, keep, rowptr, col, out, lse, E, G,
    DOT: tl.constexpr, SLOPE: tl.constexpr, SCALE: tl.constexpr, W: tl.constexpr, D: tl.constexpr,
    BLOCK_E: tl.constexpr, BLOCK_W: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Online softmax: the sums so far are kept relative to the largest logit so far, `top`."""
    F: tl.constexpr = lse.dtype.element_ty
    t, g = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    q_t = _row(q, t * G + g, W, BLOCK_W, F)
    u_g = _row(u, g, W, BLOCK_W, F)
    top = tl.full([], float("-inf"), F)
    total = tl.zeros([], F)
    acc = tl.zeros([BLOCK_D], F)
    end = tl.load(rowptr + t + 1)
    for first in range(tl.load(rowptr + t), end, BLOCK_E):
        e = first + tl.arange(0, BLOCK_E)
        extra = _per_edge(bias, g * E + e, e < end, 0.0, BLOCK_E, F)
        seen = (e < end) & (extra != float("-inf"))
        s = tl.load(col + e, mask=seen, other=0) * G + g
        k_s = _rows(k, s, seen, W, BLOCK_W, F)
        logit, _ = _compare(q_t, k_s, u_g, edge, e * G + g, extra, seen, DOT, SLOPE, SCALE, W, BLOCK_W, F)
        higher = tl.maximum(top, tl.max(logit, 0))
        base = tl.where(higher == float("-inf"), 0.0, higher)  # -inf minus -inf would be NaN
        weight, shrink = tl.exp(logit - base), tl.exp(top - base)
        total = total * shrink + tl.sum(weight, 0)
        weight *= _per_edge(keep, g * E + e, seen, 1.0, BLOCK_E, F)
        acc = acc * shrink + tl.sum(weight[:, None] * _rows(v, s, seen, D, BLOCK_D, F), 0)
        top = higher
    total = tl.where(total == 0, 1.0, total)  # a target that sees nothing: 0, and lse = top = -inf
    _store(out, t * G + g, acc / total, D, BLOCK_D)
    tl.store(lse + t * G + g, top + tl.log(total))


@triton.jit
def backward_by_target(
    q, k, v, u, edge, bias, keep, rowptr, col, out, lse, dout, dlse, dq, du, dedge, dbias, delta, T, E, G, TARGETS,
    DOT: tl.constexpr, SLOPE: tl.constexpr, SCALE: tl.constexpr, W: tl.constexpr, D: tl.constexpr,
    BLOCK_E: tl.constexpr, BLOCK_W: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """dlogit_e = a_e (keep_e dout_t . v_s - delta_t), delta_t = dout_t . out_t - dlse_t, which is left for the sources.

    A program takes TARGETS targets one after the other and leaves one partial sum of du; gradients that are None are not made.
    """
    F: tl.constexpr = lse.dtype.element_ty
    program, g = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    u_g = _row(u, g, W, BLOCK_W, F)
    du_g = tl.zeros([BLOCK_W], F)
    for t in range(program * TARGETS, tl.minimum(program * TARGETS + TARGETS, T)):
        here = t * G + g
        q_t = _row(q, here, W, BLOCK_W, F)
        dout_t = _row(dout, here, D, BLOCK_D, F)
        lse_t = tl.load(lse + here)
        delta_t = tl.sum(dout_t * _row(out, here, D, BLOCK_D, F), 0) - tl.load(dlse + here).to(F)
        tl.store(delta + here, delta_t)
        dq_t = tl.zeros([BLOCK_W], F)
        end = tl.load(rowptr + t + 1)
        for first in range(tl.load(rowptr + t), end, BLOCK_E):
            e = first + tl.arange(0, BLOCK_E)
            extra = _per_edge(bias, g * E + e, e < end, 0.0, BLOCK_E, F)
            seen = (e < end) & (extra != float("-inf"))
            s = tl.load(col + e, mask=seen, other=0) * G + g
            k_s = _rows(k, s, seen, W, BLOCK_W, F)
            logit, x = _compare(q_t, k_s, u_g, edge, e * G + g, extra, seen, DOT, SLOPE, SCALE, W, BLOCK_W, F)
            weight = _weight(logit, lse_t)
            value = tl.sum(dout_t[None, :] * _rows(v, s, seen, D, BLOCK_D, F), 1)
            dlogit = _dlogit(weight, value * _per_edge(keep, g * E + e, seen, 1.0, BLOCK_E, F), delta_t)
            if dbias is not None:
                tl.store(dbias + g * E + e, dlogit, mask=e < end)
            dx = _pull(dlogit * SCALE, x, u_g, DOT, SLOPE)
            dq_t += tl.sum(dx, 0)
            if du is not None:
                du_g += tl.sum((dlogit * SCALE)[:, None] * _act(x, SLOPE), 0)
            if dedge is not None:
                w = tl.arange(0, BLOCK_W)[None, :]
                tl.store(dedge + (e * G + g)[:, None] * W + w, dx, mask=(e < end)[:, None] & (w < W))
        if dq is not None:
            _store(dq, here, dq_t, W, BLOCK_W)
    if du is not None:
        _store(du, program * G + g, du_g, W, BLOCK_W)


@triton.jit
def backward_by_source(
    q, k, v, u, edge, bias, keep, t_rowptr, t_col, t_order, lse, dout, delta, dk, dv, E, G,
    DOT: tl.constexpr, SLOPE: tl.constexpr, SCALE: tl.constexpr, W: tl.constexpr, D: tl.constexpr,
    BLOCK_E: tl.constexpr, BLOCK_W: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """The same logits seen from the source: dv_s = sum_e a_e keep_e dout_t, and dk_s as dq_t above."""
    F: tl.constexpr = lse.dtype.element_ty
    node, g = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    here = node * G + g
    k_s = _row(k, here, W, BLOCK_W, F)
    v_s = _row(v, here, D, BLOCK_D, F)
    u_g = _row(u, g, W, BLOCK_W, F)
    dk_s = tl.zeros([BLOCK_W], F)
    dv_s = tl.zeros([BLOCK_D], F)
    end = tl.load(t_rowptr + node + 1)
    for first in range(tl.load(t_rowptr + node), end, BLOCK_E):
        i = first + tl.arange(0, BLOCK_E)
        e = tl.load(t_order + i, mask=i < end, other=0)
        extra = _per_edge(bias, g * E + e, i < end, 0.0, BLOCK_E, F)
        seen = (i < end) & (extra != float("-inf"))
        t = tl.load(t_col + i, mask=seen, other=0) * G + g
        q_t = _rows(q, t, seen, W, BLOCK_W, F)
        logit, x = _compare(k_s, q_t, u_g, edge, e * G + g, extra, seen, DOT, SLOPE, SCALE, W, BLOCK_W, F)
        weight = _weight(logit, tl.load(lse + t, mask=seen, other=0.0))
        factor = _per_edge(keep, g * E + e, seen, 1.0, BLOCK_E, F)
        dout_t = _rows(dout, t, seen, D, BLOCK_D, F)
        dv_s += tl.sum((weight * factor)[:, None] * dout_t, 0)
        if dk is not None:
            value = tl.sum(v_s[None, :] * dout_t, 1)
            dlogit = _dlogit(weight, value * factor, tl.load(delta + t, mask=seen, other=0.0))
            dk_s += tl.sum(_pull(dlogit * SCALE, x, u_g, DOT, SLOPE), 0)
    if dk is not None:
        _store(dk, here, dk_s, W, BLOCK_W)
    if dv is not None:
        _store(dv, here, dv_s, D, BLOCK_D)


@triton.jit
def _compare(
    one, many, u, edge, at, extra, seen,
    DOT: tl.constexpr, SLOPE: tl.constexpr, SCALE: tl.constexpr, W: tl.constexpr, BLOCK_W: tl.constexpr, F: tl.constexpr,
):  # fmt: skip
    """The logits of one node against those at the other end of its edges, and x, what their gradient needs.

    Both scores treat the two ends alike, so this serves targets and sources. x is the other end's row for DOT, else act's
    input; 0 where not seen, as `one` may hold NaN there.
    """
    if DOT:
        x = many
        logit = tl.sum(one[None, :] * x, 1)
    else:
        x = tl.where(seen[:, None], one[None, :] + many, 0.0)
        if edge is not None:
            x += _rows(edge, at, seen, W, BLOCK_W, F)
        logit = tl.sum(u[None, :] * _act(x, SLOPE), 1)
    return tl.where(seen, logit * SCALE + extra, float("-inf")), x


@triton.jit
def _pull(dsum, x, u, DOT: tl.constexpr, SLOPE: tl.constexpr):
    """The gradient of `one` (and of edge) by each edge, from that of the sum over w."""
    if DOT:
        dx = dsum[:, None] * x
    elif SLOPE is None:
        y = _act(x, SLOPE)
        dx = dsum[:, None] * u[None, :] * (1 - y * y)
    else:
        dx = dsum[:, None] * u[None, :]
        dx = tl.where(x > 0, dx, SLOPE * dx)
    return dx


@triton.jit
def _act(x, SLOPE: tl.constexpr):
    """LeakyReLU, or tanh where there is no slope (of |x|, as exp must not overflow)."""
    if SLOPE is None:
        small = tl.exp(-2 * tl.abs(x))
        y = (1 - small) / (1 + small)
        y = tl.where(x < 0, -y, y)
    else:
        y = tl.where(x > 0, x, SLOPE * x)
    return y


@triton.jit
def _weight(logit, lse):
    """exp(logit - lse), 0 for what is not seen, also where the target sees nothing (both -inf)."""
    return tl.where(logit == float("-inf"), 0.0, tl.exp(logit - lse))


@triton.jit
def _dlogit(weight, dweight, delta):
    """The softmax's gradient, 0 for what has no weight (there dweight may be NaN)."""
    return tl.where(weight == 0, 0.0, weight * (dweight - delta))


@triton.jit
def _per_edge(x, at, mask, default: tl.constexpr, BLOCK_E: tl.constexpr, F: tl.constexpr):
    """One number an edge, `default` where there is no such tensor."""
    return tl.full([BLOCK_E], default, F) if x is None else tl.load(x + at, mask=mask, other=default).to(F)


@triton.jit
def _row(x, at, width: tl.constexpr, BLOCK: tl.constexpr, F: tl.constexpr):
    """Row `at` of x [.., width], padded with 0; zeros where there is no x."""
    w = tl.arange(0, BLOCK)
    return tl.zeros([BLOCK], F) if x is None else tl.load(x + at * width + w, mask=w < width, other=0.0).to(F)


@triton.jit
def _rows(x, at, seen, width: tl.constexpr, BLOCK: tl.constexpr, F: tl.constexpr):
    """Rows `at` of x [.., width] as a tile, padded with 0; 0 where not seen."""
    w = tl.arange(0, BLOCK)[None, :]
    return tl.load(x + at[:, None] * width + w, mask=seen[:, None] & (w < width), other=0.0).to(F)


@triton.jit
def _store(x, at, row, width: tl.constexpr, BLOCK: tl.constexpr):
    w = tl.arange(0, BLOCK)
    tl.store(x + at * width + w, row.to(x.dtype.element_ty), mask=w < width)
