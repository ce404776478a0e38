"""Attention scorers; they are defined in :mod:`pyro_align.nn`."""

from pyro_align.nn.scorers import SCORERS, DotScorer, GeneralScorer, MLPScorer, Scorer

__all__ = ["SCORERS", "DotScorer", "GeneralScorer", "MLPScorer", "Scorer"]
