"""Models: one Pyro program a file."""

from pyro_align.models.alignment_model import AlignmentModel
from pyro_align.models.categorical import CategoricalModel
from pyro_align.models.dirichlet import DirichletModel
from pyro_align.models.soft import SoftModel

__all__ = ["AlignmentModel", "CategoricalModel", "DirichletModel", "SoftModel"]
