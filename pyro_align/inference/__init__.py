"""Objectives (Pyro ELBOs), baselines and schedules."""

from pyro_align.inference.baselines import Baseline, SoftAttentionBaseline
from pyro_align.inference.enumerated import EnumeratedELBO
from pyro_align.inference.exact import ExactMarginal
from pyro_align.inference.likelihood import Likelihood
from pyro_align.inference.objective import Objective, Terms
from pyro_align.inference.plates import alignment_plates
from pyro_align.inference.program import Latent, Program
from pyro_align.inference.schedules import KL_SCHEDULES, KLSchedule
from pyro_align.inference.score_function import BASELINES, ScoreFunctionELBO
from pyro_align.inference.sharing import share_computation

__all__ = [
    "BASELINES",
    "KL_SCHEDULES",
    "Baseline",
    "EnumeratedELBO",
    "ExactMarginal",
    "KLSchedule",
    "Latent",
    "Likelihood",
    "Objective",
    "Program",
    "ScoreFunctionELBO",
    "SoftAttentionBaseline",
    "Terms",
    "alignment_plates",
    "share_computation",
]
