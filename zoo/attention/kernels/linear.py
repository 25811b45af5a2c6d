"""Linear attention: sum_j f(k_j) v_j^T is computed once (or carried along), so time grows with N and not with N^2.

    out_i = f(q_i) S_i / (f(q_i) . z_i),    S_i = sum_{j seen} f(k_j) v_j^T,    z_i = sum_{j seen} f(k_j)

Katharopoulos et al. 2020, equations 4-12; the causal case goes in chunks: exact inside a chunk, a state between them.
Where all features underflow, f(q_i) . z_i = 0, the keys are all alike: out_i is the mean of the values that i sees.
"""

import torch
from torch import Tensor

from zoo.attention.call import AttentionCall, AttentionOutput
from zoo.attention.patterns import And, Causal, Full, Pattern

CHUNK = 64


class Linear:
    name = "linear"

    def why_not(self, call: AttentionCall) -> tuple[str, ...]:
        reasons: tuple[str, ...] = ()
        if "features" not in call.score.forms:
            reasons += (f"{type(call.score).__name__} has no feature map (no as_features)",)
        if not call.score.is_softmax:
            reasons += (f"{type(call.score).__name__} does not normalise by softmax",)
        if call.pattern.edges is not None or call.pattern.by_content or split(call.pattern) is None:
            reasons += ("its pattern is neither causal nor a choice of keys alone",)
        if call.bias is not None:
            reasons += ("a bias on each pair has no linear form",)
        if call.dropout:
            reasons += ("dropout on each weight has no linear form",)
        if call.q_pos is not None or call.k_pos is not None:
            reasons += ("its tokens have places of their own (a cache, padding)",)
        if call.need_weights or call.need_logits:
            reasons += ("it returns neither weights nor logits",)
        return reasons

    def why_slow(self, call: AttentionCall) -> tuple[str, ...]:
        return ()

    def run(self, call: AttentionCall) -> AttentionOutput:
        form = split(call.pattern)
        assert form is not None, "why_not refuses other patterns"
        causal, keys = form
        k, v, seen = call.k, call.v, None
        if not isinstance(keys, Full):
            seen = keys.allowed(*call.index_grid()).transpose(-2, -1)  # [b, h, K, 1]
            if seen.shape[1] > 1:  # a pattern that tells heads apart: a key/value head for each
                k, v = call.repeat_kv(k), call.repeat_kv(v)
            k, v = torch.where(seen, k, 0), torch.where(seen, v, 0)
        f_q, f_k = call.score.as_features(call.q, k)
        if seen is not None:
            f_k = torch.where(seen, f_k, 0)
        f_k, v = (x if x.shape[1] == f_q.shape[1] else call.repeat_kv(x) for x in (f_k, v))
        wide = torch.promote_types(v.dtype, torch.float32)  # sums over thousands of keys leave float16's range
        with torch.autocast(v.device.type, enabled=False):
            f_q, f_k, v1 = f_q.to(wide), f_k.to(wide), v.to(wide)
            one = torch.ones_like(v1[..., :1])
            v1 = torch.cat([v1, one if seen is None else one * seen], -1)
            if causal:
                summed, alike = scan(f_q, f_k, v1), v1.cumsum(2)[:, :, v1.shape[2] - f_q.shape[2] :]
            else:
                summed, alike = f_q @ (f_k.transpose(-2, -1) @ v1), v1.sum(2, keepdim=True)
        total = summed[..., -1:]  # the last column sums the weights, z beside S; of `alike` it counts the keys
        mean = alike[..., :-1] / alike[..., -1:].clamp(min=1)
        out = torch.where(total == 0, mean, summed[..., :-1] / total.masked_fill(total == 0, 1))
        return AttentionOutput(out.to(v.dtype))


def scan(f_q: Tensor, f_k: Tensor, v: Tensor) -> Tensor:
    """sum_{j <= i + K - Q} (f_q_i . f_k_j) v_j for every query i: [B, H, Q, F], [B, H, K, F], [B, H, K, D] -> [B, H, Q, D]."""
    Q, before = f_q.shape[2], f_k.shape[2] - f_q.shape[2]
    state = f_k[:, :, :before].transpose(-2, -1) @ v[:, :, :before]  # keys that every query sees
    out = []
    for start in range(0, max(Q, 1), CHUNK):  # no queries: one empty chunk
        q = f_q[:, :, start : start + CHUNK]
        k, x = (y[:, :, before + start : before + start + CHUNK] for y in (f_k, v))
        out.append(q @ state + (q @ k.transpose(-2, -1)).tril() @ x)
        state = state + k.transpose(-2, -1) @ x
    return torch.cat(out, 2)


def split(pattern: Pattern) -> tuple[bool, Pattern] | None:
    """(causal, keys): the pattern as Causal() & a choice of keys alone; None if it is not of that form."""
    if isinstance(pattern, Causal):
        return True, Full()
    if not pattern.uses_query:
        return False, pattern
    if isinstance(pattern, And):
        left, right = split(pattern.left), split(pattern.right)
        if left and right:
            return left[0] or right[0], left[1] & right[1]
    return None
