"""Diagnosis of a model and guide: noise, bias and cost of the gradients of each objective."""

from pyro_align.evaluation.diagnosis.figure import check_figure, draw_figure, write_figure
from pyro_align.evaluation.diagnosis.measure import REPEATS, diagnose
from pyro_align.evaluation.diagnosis.objectives import fitting_objectives
from pyro_align.evaluation.diagnosis.result import Diagnosis, ObjectiveDiagnosis

__all__ = [
    "REPEATS",
    "Diagnosis",
    "ObjectiveDiagnosis",
    "check_figure",
    "diagnose",
    "draw_figure",
    "fitting_objectives",
    "write_figure",
]
