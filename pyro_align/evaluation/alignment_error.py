"""Alignment error rate against gold links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_align.data.links import GoldLinks, Link

_BATCH = 1_000_000
"""Rows that the bootstrap resamples at once, to bound its memory."""


@dataclass
class AlignmentErrorRate:
    """Precision, recall and alignment error rate (AER) from link counts per sentence pair.

    With the predicted links ``A``, the sure links ``S`` and the possible links ``P ⊇ S`` of *all*
    pairs (Och & Ney 2003, section 5.1; counts are summed before division):

    - ``precision = |A ∩ P| / |A|``
    - ``recall = |A ∩ S| / |S|``
    - ``error_rate = 1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|)``

    If a denominator is zero: precision is 1 without predicted links, recall is 1 without sure
    links, and the error rate is 0 without either.

    Attributes:
        counts: ``|A|``, ``|S|``, ``|A ∩ S|`` and ``|A ∩ P|`` of each pair.
    """

    counts: list[tuple[int, int, int, int]] = field(default_factory=list)

    def update(self, predicted: Iterable[Link], gold: GoldLinks) -> None:
        """Add one sentence pair; duplicate links are counted once."""
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
        """Fraction of the predicted links that are possible."""
        predicted = self.predicted
        return self.predicted_possible / predicted if predicted else 1.0

    @property
    def recall(self) -> float:
        """Fraction of the sure links that are predicted."""
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
        """Compute a percentile bootstrap confidence interval of :attr:`error_rate`.

        Resamples sentence pairs with replacement and computes the error rate of each resampled
        corpus (:func:`scipy.stats.bootstrap`; Koehn 2004 for translation). The interval reflects
        the choice of test sentences, not that of the training seed.

        Args:
            level: confidence level, above 0 and below 1.
            samples: number of resampled corpora.
            seed: seed of the resampling; the same seed gives the same interval.

        Raises:
            ValueError: if there are no sentence pairs, or ``level`` is not between 0 and 1.
        """
        if not self.counts or not 0 < level < 1:
            raise ValueError(
                f"an interval needs sentence pairs and a level between 0 and 1, got "
                f"{len(self.counts)} pairs and {level}"
            )
        if len(self.counts) == 1:  # all resampled corpora are equal
            return self.error_rate, self.error_rate
        # Imported here because it takes half a second.
        from scipy.stats import bootstrap

        found = bootstrap(
            tuple(np.asarray(self.counts).T),
            _error_rates,
            paired=True,
            vectorized=True,
            n_resamples=samples,
            batch=max(1, _BATCH // len(self.counts)),
            confidence_level=level,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        return float(found.low), float(found.high)

    def to_dict(self) -> dict[str, float | list[float]]:
        """Return plain values for JSON: error rate, its interval, precision and recall."""
        return {
            "aer": self.error_rate,
            "aer_interval": list(self.interval()),
            "precision": self.precision,
            "recall": self.recall,
        }

    def _total(self, column: int) -> int:
        return sum(row[column] for row in self.counts)


def _error_rates(
    predicted: NDArray[Any],
    sure: NDArray[Any],
    predicted_sure: NDArray[Any],
    predicted_possible: NDArray[Any],
    axis: int = -1,
) -> NDArray[np.float64]:
    """Compute the error rates of many corpora, with sentence pairs along ``axis``."""
    total = (predicted + sure).sum(axis)
    right = (predicted_sure + predicted_possible).sum(axis)
    return np.where(total > 0, 1.0 - right / np.maximum(total, 1), 0.0)
