from .alignment_error import AlignmentErrorRate
from .positions import evaluate_positions
from .result import Evaluation, Measure, PositionMeans
from .text import MAX_LENGTH, SentencePairs, check_text
from .translation import TranslationScores, translation_scores

__all__ = [
    "MAX_LENGTH",
    "AlignmentErrorRate",
    "Evaluation",
    "Measure",
    "PositionMeans",
    "SentencePairs",
    "TranslationScores",
    "check_text",
    "evaluate_positions",
    "translation_scores",
]
