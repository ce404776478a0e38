from .alignment_error import AlignmentErrorRate
from .translation import TranslationScores, translation_scores

__all__ = ["AlignmentErrorRate", "TranslationScores", "translation_scores"]
