from .directions import fit_directions
from .run import Run

__all__ = ["Run", "fit_directions"]
