from .alignment_model import AlignmentModel
from .categorical import CategoricalModel
from .dirichlet import DirichletModel
from .markov import MarkovModel
from .soft import SoftModel

__all__ = ["AlignmentModel", "CategoricalModel", "DirichletModel", "MarkovModel", "SoftModel"]
