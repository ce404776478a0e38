from .batches import buckets
from .fit import check_machine, fit, is_finished
from .handlers import as_in_training
from .module import TrainingModule
from .weights import load_weights, save_weights

__all__ = [
    "TrainingModule",
    "as_in_training",
    "buckets",
    "check_machine",
    "fit",
    "is_finished",
    "load_weights",
    "save_weights",
]
