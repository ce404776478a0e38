"""Evaluation of a model and guide: likelihood, posterior, translation and alignment."""

from pyro_align.evaluation.positions import evaluate_positions
from pyro_align.evaluation.result import Evaluation, Measure, PositionMeans
from pyro_align.evaluation.text import MAX_LENGTH, SentencePairs, check_text

__all__ = [
    "MAX_LENGTH",
    "Evaluation",
    "Measure",
    "PositionMeans",
    "SentencePairs",
    "check_text",
    "evaluate_positions",
]
