from .data import buckets, index, make_vocabularies
from .fit import check_machine, fit, is_finished
from .task import AlignmentTask
from .weights import load_weights, own_parameters, save_weights

__all__ = [
    "AlignmentTask",
    "buckets",
    "check_machine",
    "fit",
    "index",
    "is_finished",
    "load_weights",
    "make_vocabularies",
    "own_parameters",
    "save_weights",
]
