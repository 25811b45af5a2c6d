"""Figures of a test: which way is better, and when two are the same."""

BLEU = ("bleu", "bleu_lc")


def direction(name: str) -> str:
    """Whether more of a metric is better: "max" of shares of what is right and BLEU, "min" of losses and errors."""
    return "max" if name.endswith(("accuracy", "f1", "precision", "recall", "exact_match", *BLEU)) else "min"


def equal(name: str, stated: float, measured: float, samples: int | None) -> bool:
    """Whether two figures are the same: shares of what is right within one sample or .2 % of them, whichever is more; losses
    and errors within a thousandth; BLEU within .2 of its 100."""
    if name.endswith(BLEU):
        return abs(measured - stated) <= 0.2 + 1e-9
    if direction(name) == "max":
        return abs(measured - stated) <= max(1 / samples if samples else 0.0, 0.002) + 1e-9
    return abs(measured - stated) <= 1e-3 * abs(stated)
