"""The oracle: the equation written down. It computes every call and returns weights and logits."""

import torch.nn.functional as F

from zoo.attention.core import AttentionCall, AttentionOutput

# Narrow heads on short rows: there two matrix products train faster than the CPU's fused kernel with many heads, while on
# rows of 200 that kernel wins (python -m benchmarks kernels).
NARROW, SHORT = 8, 128


def is_tiny(call: AttentionCall) -> bool:
    return call.q.device.type == "cpu" and call.q.shape[-1] <= NARROW and call.k.shape[2] <= SHORT


class Reference:
    name = "reference"

    def why_not(self, call: AttentionCall) -> tuple[str, ...]:
        return ()

    def why_slow(self, call: AttentionCall) -> tuple[str, ...]:
        return () if is_tiny(call) else ("keeps the whole [B, H, Q, K] matrix of weights",)

    def run(self, call: AttentionCall) -> AttentionOutput:
        k, v = (call.spread(x) for x in call.visible(call.mask()))
        logits = call.score.dense(call.q, k)
        if call.bias is not None:
            logits = logits + call.bias.to(logits.dtype)
        logits = call.pattern.edit(logits, call)
        weights = call.score.normalize(logits, call)
        kept = F.dropout(weights, call.dropout) if call.dropout else weights
        return AttentionOutput(kept @ v, weights if call.need_weights else None, logits if call.need_logits else None)
