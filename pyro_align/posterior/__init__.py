"""Alignment posteriors: position by position, by words, and as links."""

from pyro_align.posterior.enumeration import PositionScores, SimplexScores, score_positions
from pyro_align.posterior.links import best_links, threshold_links
from pyro_align.posterior.words import WordAlignment, merge_pieces

__all__ = [
    "PositionScores",
    "SimplexScores",
    "WordAlignment",
    "best_links",
    "merge_pieces",
    "score_positions",
    "threshold_links",
]
