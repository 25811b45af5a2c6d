"""BLEU as the sacrebleu package counts it, on whole texts."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from zoo.errors import ZooError


class Bleu(NamedTuple):
    """score: 0 to 100. signature: how it was counted. spread: half the width of its 95 % interval; None: not asked for."""

    score: float
    signature: str
    spread: float | None = None


def package() -> Any:
    """sacrebleu's metrics. Raises: ZooError where the package is missing."""
    try:
        from sacrebleu import metrics
    except ImportError as error:
        raise ZooError(
            "test/bleu needs the package sacrebleu, which is not installed: pip install 'attention-zoo[text]'; or leave it "
            "out: task.bleu=false."
        ) from error
    return metrics


def bleu(
    texts: Sequence[str], references: Sequence[Sequence[str]], lowercase: bool = False, resamples: int = 0
) -> Bleu:
    """BLEU of a whole set (Papineni et al. 2002, in the words of Post 2018).

    Args:
        texts: what was said, as a reader has it; one or more.
        references: of each text, one or more.
        lowercase: compare small letters.
        resamples: of the texts, for the interval (Koehn 2004); always the same ones. 0: no interval.
    """
    metric = package().BLEU(lowercase=lowercase, force=True)  # force: no warning of texts that end in " ."
    columns = list(map(list, zip_longest(*references)))  # a text's missing ones are None, which it leaves out
    found = metric.corpus_score(list(texts), columns, n_bootstrap=max(resamples, 1))
    return Bleu(float(found.score), str(metric.get_signature()), float(found._ci) if resamples > 1 else None)
