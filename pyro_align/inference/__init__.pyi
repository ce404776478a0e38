from .baselines import (
    AverageBaseline,
    Baseline,
    LeaveOneOut,
    NoBaseline,
    SoftAttentionBaseline,
)
from .dirichlet import RelaxedELBO
from .dreams import Dream, dream
from .enumerated import EnumeratedELBO
from .exact import ExactMarginal
from .guided_alignment import guided_alignment
from .gumbel_softmax import GumbelSoftmaxELBO
from .importance_weighted import ImportanceWeightedBound
from .kinds import Latent
from .label_smoothing import label_smoothing
from .likelihood import Likelihood
from .monte_carlo_em import MonteCarloEM
from .network_baseline import NetworkBaseline
from .objective import Objective, Reference, Terms
from .plates import alignment_plates, position_plate, sentence_plate
from .position_scores import AveragedScores, PositionScores, SimplexScores
from .positions import score_positions
from .program import Program
from .relaxation import relaxed
from .reweighted_wake_sleep import ReweightedWakeSleep
from .schedules import KL_SCHEDULES, KLSchedule
from .score_function import BASELINES, ScoreFunctionELBO
from .scoring import score_batch
from .sentence_bound import SentenceImportanceBound
from .sentence_elbo import SentenceELBO
from .sentences import SentenceScores, score_sentences
from .sharing import shared
from .top_k import TopKMarginal
from .vimco import VIMCO
from .wake_sleep import WakeSleep

__all__ = [
    "BASELINES",
    "KL_SCHEDULES",
    "VIMCO",
    "AverageBaseline",
    "AveragedScores",
    "Baseline",
    "Dream",
    "EnumeratedELBO",
    "ExactMarginal",
    "GumbelSoftmaxELBO",
    "ImportanceWeightedBound",
    "KLSchedule",
    "Latent",
    "LeaveOneOut",
    "Likelihood",
    "MonteCarloEM",
    "NetworkBaseline",
    "NoBaseline",
    "Objective",
    "PositionScores",
    "Program",
    "Reference",
    "RelaxedELBO",
    "ReweightedWakeSleep",
    "ScoreFunctionELBO",
    "SentenceELBO",
    "SentenceImportanceBound",
    "SentenceScores",
    "SimplexScores",
    "SoftAttentionBaseline",
    "Terms",
    "TopKMarginal",
    "WakeSleep",
    "alignment_plates",
    "dream",
    "guided_alignment",
    "label_smoothing",
    "position_plate",
    "relaxed",
    "score_batch",
    "score_positions",
    "score_sentences",
    "sentence_plate",
    "shared",
]
