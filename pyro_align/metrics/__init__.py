"""Measures of alignments and translations."""

from pyro_align.metrics.alignment_error import AlignmentErrorRate
from pyro_align.metrics.translation import TranslationScores, translation_scores

__all__ = ["AlignmentErrorRate", "TranslationScores", "translation_scores"]
