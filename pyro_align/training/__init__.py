"""Training on Lightning: the task, checkpoints, logs, and the loop put together."""

from pyro_align.training.data import index, make_vocabularies
from pyro_align.training.fit import fit
from pyro_align.training.task import AlignmentTask
from pyro_align.training.weights import load_weights, save_weights, write_atomically

__all__ = [
    "AlignmentTask",
    "fit",
    "index",
    "load_weights",
    "make_vocabularies",
    "save_weights",
    "write_atomically",
]
