"""Training on Lightning: the task, checkpoints, logs, and the loop put together."""

from pyro_align.training.data import buckets, index, make_vocabularies
from pyro_align.training.fit import check_machine, fit
from pyro_align.training.task import AlignmentTask
from pyro_align.training.weights import load_weights, own_parameters, save_weights

__all__ = [
    "AlignmentTask",
    "buckets",
    "check_machine",
    "fit",
    "index",
    "load_weights",
    "make_vocabularies",
    "own_parameters",
    "save_weights",
]
