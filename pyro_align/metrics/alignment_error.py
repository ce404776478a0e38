"""Alignment error rate against gold links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from pyro_align.corpus.links import GoldLinks, Link


@dataclass
class AlignmentErrorRate:
    """Counts of links, a row a sentence pair, and the rates that follow from their sums.

    With ``A`` the predicted, ``S`` the sure and ``P ⊇ S`` the possible links of *all* pairs
    (Och & Ney 2003, section 5.1; the counts are summed before any division):

    - ``precision = |A ∩ P| / |A|``
    - ``recall = |A ∩ S| / |S|``
    - ``error_rate = 1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|)``

    Without a denominator nothing was got wrong: precision is 1 where nothing is predicted, recall
    is 1 where nothing is sure, and the error rate is 0 where both hold.

    Attributes:
        counts: ``|A|``, ``|S|``, ``|A ∩ S|`` and ``|A ∩ P|`` of each pair.
    """

    counts: list[tuple[int, int, int, int]] = field(default_factory=list)

    def update(self, predicted: Iterable[Link], gold: GoldLinks) -> None:
        """Count one sentence pair; a link predicted twice counts once."""
        links = set(predicted)
        hits = len(links & gold.sure), len(links & gold.possible)
        self.counts.append((len(links), len(gold.sure), *hits))

    @property
    def predicted(self) -> int:
        """``|A|``."""
        return self._total(0)

    @property
    def sure(self) -> int:
        """``|S|``."""
        return self._total(1)

    @property
    def predicted_sure(self) -> int:
        """``|A ∩ S|``."""
        return self._total(2)

    @property
    def predicted_possible(self) -> int:
        """``|A ∩ P|``."""
        return self._total(3)

    @property
    def precision(self) -> float:
        """Share of the predicted links that are possible."""
        predicted = self.predicted
        return self.predicted_possible / predicted if predicted else 1.0

    @property
    def recall(self) -> float:
        """Share of the sure links that are predicted."""
        sure = self.sure
        return self.predicted_sure / sure if sure else 1.0

    @property
    def error_rate(self) -> float:
        """Alignment error rate, between 0 (best) and 1."""
        total = self.predicted + self.sure
        return 1.0 - (self.predicted_sure + self.predicted_possible) / total if total else 0.0

    def interval(
        self, level: float = 0.95, *, samples: int = 1000, seed: int = 0
    ) -> tuple[float, float]:
        """Confidence interval of :attr:`error_rate` by the bootstrap.

        Sentence pairs are drawn with replacement, as many as there are, and the error rate of each
        such corpus is computed; the interval is between the percentiles of these (Efron &
        Tibshirani 1993, chapter 13; Koehn 2004 for translation). It covers the choice of test
        sentences, not that of a seed in training.

        Args:
            level: how much of the drawn error rates lies within, above 0 and below 1.
            samples: number of drawn corpora.
            seed: of the drawing; the same one gives the same interval.

        Raises:
            ValueError: if no sentence pair is counted, or ``level`` is not between 0 and 1.
        """
        if not self.counts or not 0 < level < 1:
            raise ValueError(
                f"an interval needs sentence pairs and a level between 0 and 1, got "
                f"{len(self.counts)} pairs and {level}"
            )
        counts = np.asarray(self.counts)
        random = np.random.Generator(np.random.PCG64(seed))
        drawn = np.stack(
            [
                counts[random.integers(len(counts), size=len(counts))].sum(axis=0)
                for _ in range(samples)
            ]
        )
        total = drawn[:, 0] + drawn[:, 1]
        right = drawn[:, 2] + drawn[:, 3]
        rates = np.where(total > 0, 1.0 - right / np.maximum(total, 1), 0.0)
        low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def to_dict(self) -> dict[str, float | list[float]]:
        """Plain values, for JSON: error rate, its interval, precision and recall."""
        return {
            "aer": self.error_rate,
            "aer_interval": list(self.interval()),
            "precision": self.precision,
            "recall": self.recall,
        }

    def _total(self, column: int) -> int:
        return sum(row[column] for row in self.counts)
