from .alignment_error import AlignmentErrorRate
from .edits import Confusions, Edit, find_edits
from .forms import FormRates, FormScores
from .positions import evaluate_batches, evaluate_positions
from .result import Evaluation, Measure, PositionMeans
from .text import MAX_LENGTH, SentencePairs, check_text
from .translation import TranslationScores, translation_scores

__all__ = [
    "MAX_LENGTH",
    "AlignmentErrorRate",
    "Confusions",
    "Edit",
    "Evaluation",
    "FormRates",
    "FormScores",
    "Measure",
    "PositionMeans",
    "SentencePairs",
    "TranslationScores",
    "check_text",
    "evaluate_batches",
    "evaluate_positions",
    "find_edits",
    "translation_scores",
]
