"""Translation by beam search over the marginal distribution of the next token."""

from pyro_align.translation.beam_search import BeamSearch
from pyro_align.translation.hypotheses import Hypothesis, length_penalty
from pyro_align.translation.translator import ScoredText, Translation, Translator

__all__ = [
    "BeamSearch",
    "Hypothesis",
    "ScoredText",
    "Translation",
    "Translator",
    "length_penalty",
]
