from .directions import fit_directions
from .ensemble import RunEnsemble
from .run import Run

__all__ = ["Run", "RunEnsemble", "fit_directions"]
