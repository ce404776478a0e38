"""Pyro distributions the field lacks."""

from pyro_align.distributions.autoregressive_flow import AutoregressiveFlow, FlowDistribution
from pyro_align.distributions.copy_mixture import CopyMixture, TokenDistribution
from pyro_align.distributions.diagonal_normal import diagonal_normal
from pyro_align.distributions.divergence import categorical_kl, kl_divergence
from pyro_align.distributions.gumbel_softmax import GumbelSoftmax, StraightThroughGumbelSoftmax
from pyro_align.distributions.label_smoothing import LabelSmoothing
from pyro_align.distributions.log_partition import factor_of
from pyro_align.distributions.markov_chain import MarkovChain, advance
from pyro_align.distributions.markov_mixture import ChainPosterior, MarkovMixture
from pyro_align.distributions.masked import MASKED_LOGIT, mask_logits
from pyro_align.distributions.padded_dirichlet import PaddedDirichlet, concentrations
from pyro_align.distributions.precision import at_least_fp32
from pyro_align.distributions.product_categorical import ProductCategorical
from pyro_align.distributions.sparse_product import (
    SharedTokenFactors,
    SparseProductCategorical,
    TokenFactors,
)
from pyro_align.distributions.token_subset import TokenSubset
from pyro_align.distributions.vocabulary_categorical import VocabularyCategorical
from pyro_align.distributions.von_mises_fisher import SphereUniform, VonMisesFisher

__all__ = [
    "MASKED_LOGIT",
    "AutoregressiveFlow",
    "ChainPosterior",
    "CopyMixture",
    "FlowDistribution",
    "GumbelSoftmax",
    "LabelSmoothing",
    "MarkovChain",
    "MarkovMixture",
    "PaddedDirichlet",
    "ProductCategorical",
    "SharedTokenFactors",
    "SparseProductCategorical",
    "SphereUniform",
    "StraightThroughGumbelSoftmax",
    "TokenDistribution",
    "TokenFactors",
    "TokenSubset",
    "VocabularyCategorical",
    "VonMisesFisher",
    "advance",
    "at_least_fp32",
    "categorical_kl",
    "concentrations",
    "diagonal_normal",
    "factor_of",
    "kl_divergence",
    "mask_logits",
]
