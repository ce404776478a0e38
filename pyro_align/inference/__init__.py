"""Objectives (Pyro ELBOs), baselines and schedules."""

from pyro_align.inference.baselines import (
    AverageBaseline,
    Baseline,
    LeaveOneOut,
    NoBaseline,
    SoftAttentionBaseline,
)
from pyro_align.inference.dirichlet import RelaxedELBO
from pyro_align.inference.enumerated import EnumeratedELBO
from pyro_align.inference.exact import ExactMarginal
from pyro_align.inference.gumbel_softmax import GumbelSoftmaxELBO
from pyro_align.inference.importance_weighted import ImportanceWeightedBound
from pyro_align.inference.likelihood import Likelihood
from pyro_align.inference.network_baseline import NetworkBaseline
from pyro_align.inference.objective import Objective, Terms
from pyro_align.inference.plates import alignment_plates
from pyro_align.inference.program import Latent, Program
from pyro_align.inference.relaxation import relaxed
from pyro_align.inference.reweighted_wake_sleep import ReweightedWakeSleep
from pyro_align.inference.schedules import KL_SCHEDULES, KLSchedule
from pyro_align.inference.score_function import BASELINES, ScoreFunctionELBO
from pyro_align.inference.sharing import share_computation
from pyro_align.inference.top_k import TopKMarginal
from pyro_align.inference.vimco import VIMCO

__all__ = [
    "BASELINES",
    "KL_SCHEDULES",
    "VIMCO",
    "AverageBaseline",
    "Baseline",
    "EnumeratedELBO",
    "ExactMarginal",
    "GumbelSoftmaxELBO",
    "ImportanceWeightedBound",
    "KLSchedule",
    "Latent",
    "LeaveOneOut",
    "Likelihood",
    "NetworkBaseline",
    "NoBaseline",
    "Objective",
    "Program",
    "RelaxedELBO",
    "ReweightedWakeSleep",
    "ScoreFunctionELBO",
    "SoftAttentionBaseline",
    "Terms",
    "TopKMarginal",
    "alignment_plates",
    "relaxed",
    "share_computation",
]
