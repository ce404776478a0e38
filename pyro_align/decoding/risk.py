"""Minimum Bayes risk: the sample that is most similar to all samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import final

from pyro_align.decoding.translation import ScoredText


@final
class MinimumBayesRisk:
    """Ranks samples of a translation by their expected chrF (Kumar & Byrne 2004).

    The expectation is over the samples themselves, each as the reference with the same weight
    (Eikema & Aziz 2020). The score of a text is its mean chrF2 between 0 and 100.

    Args:
        n_best: maximum number of texts to return.
    """

    def __init__(self, n_best: int = 1):
        from sacrebleu.metrics.chrf import CHRF  # slow to import

        self.n_best = n_best
        self._metric = CHRF()

    def __call__(self, samples: Sequence[ScoredText]) -> list[ScoredText]:
        """Return the distinct texts with the highest scores, best first."""
        counts = Counter(sample.text for sample in samples)
        distinct = {sample.text: sample for sample in reversed(samples)}
        scored = [replace(distinct[text], score=self._expected(text, counts)) for text in [*counts]]
        return sorted(scored, key=lambda each: -each.score)[: self.n_best]

    def _expected(self, text: str, counts: Counter[str]) -> float:
        total = sum(
            count * self._metric.sentence_score(text, [other]).score
            for other, count in counts.items()
        )
        return total / counts.total()
