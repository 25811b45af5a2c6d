"""torch.nn.functional.scaled_dot_product_attention: flash and memory-efficient kernels on every device."""

import torch
import torch.nn.functional as F

from zoo.attention.call import AttentionCall, AttentionOutput
from zoo.attention.kernels.reference import drops_faster, is_tiny
from zoo.attention.patterns import Causal, Full


class SDPA:
    name = "sdpa"

    def why_not(self, call: AttentionCall) -> tuple[str, ...]:
        reasons = not_a_dot_softmax(call)
        if call.need_weights or call.need_logits:
            reasons += ("it returns neither weights nor logits",)
        return reasons

    def why_slow(self, call: AttentionCall) -> tuple[str, ...]:
        if is_tiny(call):
            # No number of keys: a length that stands in a text is one that torch.compile compiles for, each anew.
            return (f"heads {call.q.shape[-1]} wide on rows this short are faster as two matrix products",)
        if drops_faster(call):
            return ("its dropout is slower on a CPU than the one that is given",)
        maskless = isinstance(call.pattern, Full) or call.is_unmasked or aligned_causal(call)
        if call.q.device.type == "cuda" and not (
            maskless or call.cached
        ):  # there Flex would compile for each length anew
            return ("needs a dense mask here, where FlexAttention skips empty blocks",)
        return ()

    def run(self, call: AttentionCall) -> AttentionOutput:
        causal = aligned_causal(call) and not call.is_unmasked
        mask = None if causal else call.mask()
        k, v = call.zero_hidden(mask)
        q, k, scale = call.score.as_dot(call.q, k)
        bias, empty = (None if call.bias is None else call.bias.to(q.dtype)) if mask is None else mask, None
        if mask is not None:
            # A row without keys is 0 here on every backend and in both directions: let it see all, then zero it.
            empty = ~mask.any(-1, keepdim=True)
            bias = mask | empty
            if call.bias is not None:
                bias = call.bias.to(q.dtype).masked_fill(~bias, -torch.inf).masked_fill(empty, 0)
        grouped = call.queries_per_kv > 1
        if grouped and q.shape[2] == 1:  # a group's heads as queries on its keys, which are read once: half the time
            q, grouped = in_groups(q, call), False
            bias = bias if bias is None or bias.shape[1] == 1 else in_groups(bias, call)
        out = F.scaled_dot_product_attention(
            q, k, v, bias, call.dropout, is_causal=causal, scale=scale, enable_gqa=grouped
        )
        out = out.reshape(*call.q.shape[:3], call.v.shape[3])
        return AttentionOutput(out if empty is None else out.masked_fill(empty, 0))


def in_groups(x: torch.Tensor, call: AttentionCall) -> torch.Tensor:
    """[b, H, 1, W] -> [b, H_kv, H / H_kv, W]."""
    return x.reshape(x.shape[0], -1, call.queries_per_kv, x.shape[3])


def aligned_causal(call: AttentionCall) -> bool:
    """Plain causal with as many queries as keys: the one case in which SDPA's top-left is_causal is right (C4)."""
    return (
        isinstance(call.pattern, Causal)
        and call.q.shape[2] == call.k.shape[2]
        and call.q_pos is None
        and call.k_pos is None
        and call.bias is None
    )


def not_a_dot_softmax(call: AttentionCall) -> tuple[str, ...]:
    """Reasons shared by the fused kernels: they compute softmax(scale q.k + bias) v and nothing else."""
    name = type(call.score).__name__
    reasons: tuple[str, ...] = ()
    if "dot" not in call.score.forms:
        reasons += (f"{name} is not a dot product (no as_dot)",)
    if not call.score.is_softmax:
        reasons += (f"{name} does not normalise by softmax",)
    if call.pattern.edges is not None:
        reasons += ("its pattern is a list of edges, not a mask",)
    if call.pattern.by_content:
        reasons += ("its pattern chooses keys by their content",)
    return reasons
