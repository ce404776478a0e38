from .alignment_error import AlignmentErrorRate
from .answers import AnsweredQuestion, AnswerEvaluation, AnswerScores, evaluate_answers
from .edits import Confusions, Edit, find_edits
from .forms import FormRates, FormScores
from .latents import LatentScores, Reconstruction, active_units, mutual_information, score_latents
from .positions import evaluate_batches, evaluate_positions
from .result import Evaluation, Measure, PositionMeans, SentenceMeans
from .text import MAX_LENGTH, SentencePairs, check_text, links_of_text
from .transduction import evaluate_forms, find_confusions, score_predictions
from .translation import TranslationScores, translation_scores
from .vqa_scores import normalise_answer, vqa_accuracy

__all__ = [
    "MAX_LENGTH",
    "AlignmentErrorRate",
    "AnswerEvaluation",
    "AnswerScores",
    "AnsweredQuestion",
    "Confusions",
    "Edit",
    "Evaluation",
    "FormRates",
    "FormScores",
    "LatentScores",
    "Measure",
    "PositionMeans",
    "Reconstruction",
    "SentenceMeans",
    "SentencePairs",
    "TranslationScores",
    "active_units",
    "check_text",
    "evaluate_answers",
    "evaluate_batches",
    "evaluate_forms",
    "evaluate_positions",
    "find_confusions",
    "find_edits",
    "links_of_text",
    "mutual_information",
    "normalise_answer",
    "score_latents",
    "score_predictions",
    "translation_scores",
    "vqa_accuracy",
]
