"""Beam search over the marginal distribution of the next token; samples of sentences; answers."""

from pyro_align.decoding.answers import Answer, AnswerPrediction, predict_answers
from pyro_align.decoding.beam_search import BeamSearch
from pyro_align.decoding.ensemble import Ensemble, members_of
from pyro_align.decoding.hypotheses import Hypothesis, length_penalty
from pyro_align.decoding.language import generate
from pyro_align.decoding.risk import MinimumBayesRisk
from pyro_align.decoding.sampled_search import SampledSearch
from pyro_align.decoding.sampler import Sampler
from pyro_align.decoding.search import Search
from pyro_align.decoding.tagged import translate_tagged
from pyro_align.decoding.translation import Linker, ScoredText, Translation, WordLinks
from pyro_align.decoding.translator import Translator

__all__ = [
    "Answer",
    "AnswerPrediction",
    "BeamSearch",
    "Ensemble",
    "Hypothesis",
    "Linker",
    "MinimumBayesRisk",
    "SampledSearch",
    "Sampler",
    "ScoredText",
    "Search",
    "Translation",
    "Translator",
    "WordLinks",
    "generate",
    "length_penalty",
    "members_of",
    "predict_answers",
    "translate_tagged",
]
