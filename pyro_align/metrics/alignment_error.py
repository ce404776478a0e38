"""Alignment error rate against gold links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyro_align.corpus.links import GoldLinks, Link


@dataclass
class AlignmentErrorRate:
    """Counts of links, summed over sentence pairs, and the rates that follow from them.

    With ``A`` the predicted, ``S`` the sure and ``P ⊇ S`` the possible links of *all* pairs
    (Och & Ney 2003, section 5.1; the counts are summed before any division):

    - ``precision = |A ∩ P| / |A|``
    - ``recall = |A ∩ S| / |S|``
    - ``error_rate = 1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|)``

    Without a denominator nothing was got wrong: precision is 1 where nothing is predicted, recall
    is 1 where nothing is sure, and the error rate is 0 where both hold.

    Attributes:
        predicted: ``|A|``.
        sure: ``|S|``.
        predicted_sure: ``|A ∩ S|``.
        predicted_possible: ``|A ∩ P|``.
    """

    predicted: int = 0
    sure: int = 0
    predicted_sure: int = 0
    predicted_possible: int = 0

    def update(self, predicted: Iterable[Link], gold: GoldLinks) -> None:
        """Count one sentence pair; a link predicted twice counts once."""
        links = set(predicted)
        self.predicted += len(links)
        self.sure += len(gold.sure)
        self.predicted_sure += len(links & gold.sure)
        self.predicted_possible += len(links & gold.possible)

    @property
    def precision(self) -> float:
        """Share of the predicted links that are possible."""
        return self.predicted_possible / self.predicted if self.predicted else 1.0

    @property
    def recall(self) -> float:
        """Share of the sure links that are predicted."""
        return self.predicted_sure / self.sure if self.sure else 1.0

    @property
    def error_rate(self) -> float:
        """Alignment error rate, between 0 (best) and 1."""
        total = self.predicted + self.sure
        return 1.0 - (self.predicted_sure + self.predicted_possible) / total if total else 0.0
