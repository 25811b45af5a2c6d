"""FlexAttention: dot scores under any index pattern; blocks that a pattern leaves empty are never computed.

Dong et al. 2024. CUDA only here: on a CPU it has no backward. The pattern's `allowed` is its mask_mod as it stands.
"""

from functools import cache, lru_cache

import torch
from torch import Tensor

from zoo.attention.call import AttentionCall, AttentionOutput
from zoo.attention.kernels.sdpa import not_a_dot_softmax
from zoo.attention.patterns import And, Full, Pattern


class Flex:
    name = "flex"

    def why_not(self, call: AttentionCall) -> tuple[str, ...]:
        reasons = not_a_dot_softmax(call)
        if call.q.device.type != "cuda":
            reasons += (f"it runs on CUDA, not on {call.q.device.type} (no backward there)",)
        if call.q.dtype == torch.float64:
            reasons += ("it has no float64",)
        if call.q.shape[-1] < 16:
            reasons += (f"heads are {call.q.shape[-1]} wide; it takes 16 and more",)
        if call.dropout:
            reasons += ("it has no dropout",)
        if call.need_weights or call.need_logits:
            reasons += ("it returns neither weights nor logits",)
        return reasons

    def why_slow(self, call: AttentionCall) -> tuple[str, ...]:
        if isinstance(call.pattern, Full) and call.bias is None:
            return ("there is nothing to skip: SDPA is made for it",)
        return ()

    def run(self, call: AttentionCall) -> AttentionOutput:
        k, v = self._visible(call)
        q, k, scale = call.score.as_dot(call.q, k)
        bias = None if call.bias is None else call.bias.expand(*call.q.shape[:3], call.k.shape[2])

        def score_mod(score, b, h, i, j):
            return score if bias is None else score + bias[b, h, i, j]

        out = flex_attention()(
            q.contiguous(), k.contiguous(), v.contiguous(),
            score_mod=None if bias is None else score_mod,
            block_mask=block_mask(call), scale=scale, enable_gqa=call.queries_per_kv > 1,
        )  # fmt: skip
        return AttentionOutput(out)

    @staticmethod
    def _visible(call: AttentionCall) -> tuple[Tensor, Tensor]:
        """Zero the keys that the pattern hides whatever the query (padding): a dense [Q, K] mask is what we avoid here."""
        keys, absent = keys_only(call.pattern), call.k_pos is not None and not call.cached
        if isinstance(keys, Full) and not absent:
            return call.k, call.v
        b, h, q, k = call.index_grid()
        seen = keys.allowed(b, h, q[..., :1, :], k) & (k >= 0)
        seen = seen.transpose(-2, -1)  # [b, h, K, 1]
        if seen.shape[1] > 1 and call.queries_per_kv > 1:
            seen = seen.unflatten(1, (call.k.shape[1], call.queries_per_kv)).any(2)
        return torch.where(seen, call.k, 0), torch.where(seen, call.v, 0)


def keys_only(pattern: Pattern) -> Pattern:
    """The part of a conjunction that looks at keys alone (padding): Full() if there is none."""
    if not pattern.uses_query:
        return pattern
    return keys_only(pattern.left) & keys_only(pattern.right) if isinstance(pattern, And) else Full()


@cache
def flex_attention():
    """Compiled once outside a compiled model; inside one it is traced with the rest."""
    from torch.nn.attention.flex_attention import flex_attention as flex

    compiled = torch.compile(flex, dynamic=False)
    return lambda *args, **kwargs: (flex if torch.compiler.is_compiling() else compiled)(*args, **kwargs)


def block_mask(call: AttentionCall):
    """The BlockMask of a call, kept for patterns without tensors; None where all may see all."""
    if isinstance(call.pattern, Full) and call.k_pos is None:
        return None
    (B, H, Q, _), K = call.q.shape, call.k.shape[2]
    if call.pattern.is_static and call.q_pos is None and call.k_pos is None:
        return _kept(call.pattern, Q, K, call.q.device)
    q_pos, k_pos = call.q_pos, call.k_pos
    q_pos = None if q_pos is None else q_pos.expand(B, Q)
    k_pos = None if k_pos is None else call.key_places(k_pos).expand(B, H, 1, K)[:, :, 0]
    return _make(call.pattern, B, H, Q, K, call.q.device, q_pos, k_pos)


@lru_cache(maxsize=64)
def _kept(pattern: Pattern, Q: int, K: int, device: torch.device):
    return _make(pattern, None, None, Q, K, device, None, None)


def _make(pattern, B, H, Q, K, device, q_pos, k_pos):
    from torch.nn.attention.flex_attention import create_block_mask

    def mask_mod(b, h, i, j):
        q = i + (K - Q) if q_pos is None else q_pos[b, i]
        if k_pos is None:
            return pattern.allowed(b, h, q, j)
        return pattern.allowed(b, h, q, k_pos[b, h, j]) & (k_pos[b, h, j] >= 0)

    return create_block_mask(mask_mod, B, H, Q, K, device=device)
