from .alignment_guide import AlignmentGuide
from .amortized import AmortizedGuide
from .amortized_dirichlet import AmortizedDirichletGuide
from .corrected_prior import CorrectedPriorGuide
from .exact import ExactGuide
from .gaussian import GaussianGuide
from .gumbel import GumbelGuide
from .markov import MarkovGuide
from .none import NoGuide
from .posterior_mixture import PosteriorMixtureGuide
from .prior import PriorGuide
from .sentence_guide import SentenceGuide
from .transformer import TransformerGuide
from .von_mises_fisher import VonMisesFisherGuide
from .whitened import WhitenedGuide

__all__ = [
    "AlignmentGuide",
    "AmortizedDirichletGuide",
    "AmortizedGuide",
    "CorrectedPriorGuide",
    "ExactGuide",
    "GaussianGuide",
    "GumbelGuide",
    "MarkovGuide",
    "NoGuide",
    "PosteriorMixtureGuide",
    "PriorGuide",
    "SentenceGuide",
    "TransformerGuide",
    "VonMisesFisherGuide",
    "WhitenedGuide",
]
