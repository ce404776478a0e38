"""Beam search over the marginal distribution of the next token, and samples of sentences."""

from pyro_align.decoding.beam_search import BeamSearch
from pyro_align.decoding.ensemble import Ensemble
from pyro_align.decoding.hypotheses import Hypothesis, length_penalty
from pyro_align.decoding.language import generate
from pyro_align.decoding.translator import ScoredText, Translation, Translator

__all__ = [
    "BeamSearch",
    "Ensemble",
    "Hypothesis",
    "ScoredText",
    "Translation",
    "Translator",
    "generate",
    "length_penalty",
]
