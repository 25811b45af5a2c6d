"""transformers' encoder-decoders, as its causal classes."""

from __future__ import annotations

from typing import Any

import torch

from zoo.models.pairs.base import PairModel
from zoo.reports.coverage.of_transformers import SIZES, VOCABULARY, classes, draw, judged
from zoo.reports.coverage.rows import Row

OF_PAIRS = {key: size for key, size in SIZES.items() if key in ("vocab_size", "max_position_embeddings")} | dict(
    d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=2,
    encoder_ffn_dim=48, decoder_ffn_dim=40, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=0,
    forced_eos_token_id=2, decoder_vocab_size=VOCABULARY,
)  # fmt: skip


def names() -> list[str]:
    """Classes, by their names."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES

    return classes(MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)


def judge(name: str) -> Row:
    """One class: the logits of a target, given a source."""
    source, target = draw(2)

    def show(model: Any) -> torch.Tensor:
        if isinstance(model, PairModel):
            return model(source, target)
        return model(input_ids=source, decoder_input_ids=target).logits

    return judged(name, show, OF_PAIRS)
