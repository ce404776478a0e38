"""Calibration: whether alignments are right as often as they are said to be probable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyro_align.posterior import AlignmentPosterior, SentencePosterior

_BINS = 10


@dataclass(frozen=True)
class Bin:
    """Target tokens whose best alignment is about as probable.

    Attributes:
        confidence: mean probability of their best alignments.
        accuracy: share of these that are gold links.
        count: number of target tokens.
    """

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """How probable best alignments are, and how often they are gold links.

    Attributes:
        bins: by probability, tenths of 0 to 1, those without tokens left out.
    """

    bins: tuple[Bin, ...]

    @property
    def count(self) -> int:
        """Number of target tokens."""
        return sum(one.count for one in self.bins)

    @property
    def confidence(self) -> float:
        """Mean probability of the best alignments."""
        return sum(one.count * one.confidence for one in self.bins) / self.count

    @property
    def accuracy(self) -> float:
        """Share of the best alignments that are gold links."""
        return sum(one.count * one.accuracy for one in self.bins) / self.count

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of accuracy and confidence over bins."""
        return sum(one.count * abs(one.accuracy - one.confidence) for one in self.bins) / self.count


def calibration(posterior: AlignmentPosterior, kind: str) -> Calibration | None:
    """Calibration of the best alignments of all target tokens that have a gold link.

    A best alignment is right if it is a sure or possible link.

    Args:
        posterior: with gold links.
        kind: one of its kinds.

    Returns:
        None if no target token has a gold link.
    """
    found = [pair for sentence in posterior for pair in _best(sentence, kind)]
    if not found:
        return None
    confidence, right = np.array(found, dtype=np.float64).T
    number = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    bins = []
    for one in np.unique(number):
        inside = number == one
        mean, share = float(confidence[inside].mean()), float(right[inside].mean())
        bins.append(Bin(mean, share, int(inside.sum())))
    return Calibration(tuple(bins))


def _best(sentence: SentencePosterior, kind: str) -> list[tuple[float, bool]]:
    """Probability of the best alignment of each linked target token, and whether it is right."""
    if sentence.gold is None:
        return []
    matrix = sentence.matrix(kind)
    links = sentence.gold.possible
    return [
        (float(matrix[target, best]), (best, target) in links)
        for target in sorted({target for _, target in links})
        for best in [int(matrix[target].argmax())]
    ]
