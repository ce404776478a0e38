"""Guides: one Pyro program a file, each built on a model."""

from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.guides.amortized import AmortizedGuide
from pyro_align.guides.amortized_dirichlet import AmortizedDirichletGuide
from pyro_align.guides.corrected_prior import CorrectedPriorGuide
from pyro_align.guides.exact import ExactGuide
from pyro_align.guides.gumbel import GumbelGuide
from pyro_align.guides.none import NoGuide
from pyro_align.guides.posterior_mixture import PosteriorMixtureGuide
from pyro_align.guides.prior import PriorGuide
from pyro_align.guides.transformer import TransformerGuide

__all__ = [
    "AlignmentGuide",
    "AmortizedDirichletGuide",
    "AmortizedGuide",
    "CorrectedPriorGuide",
    "ExactGuide",
    "GumbelGuide",
    "NoGuide",
    "PosteriorMixtureGuide",
    "PriorGuide",
    "TransformerGuide",
]
