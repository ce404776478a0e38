"""Alignment posteriors: position by position, by words, as links, tables and figures."""

from pyro_align.posterior.alignment_posterior import AlignmentPosterior
from pyro_align.posterior.answers import (
    AnswerPosterior,
    Picture,
    QuestionPosterior,
    RegionImage,
    posterior_of_answers,
)
from pyro_align.posterior.build import (
    check_sides,
    posterior_of,
    posterior_of_corpus,
    posterior_of_text,
)
from pyro_align.posterior.compare import compare
from pyro_align.posterior.latents import LatentPosterior
from pyro_align.posterior.links import best_links, threshold_links
from pyro_align.posterior.sentence import SentencePosterior, Words
from pyro_align.posterior.side_by_side import SideBySide, side_by_side
from pyro_align.posterior.words import WordAlignment, mean_alignment, merge_pieces

__all__ = [
    "AlignmentPosterior",
    "AnswerPosterior",
    "LatentPosterior",
    "Picture",
    "QuestionPosterior",
    "RegionImage",
    "SentencePosterior",
    "SideBySide",
    "WordAlignment",
    "Words",
    "best_links",
    "check_sides",
    "compare",
    "mean_alignment",
    "merge_pieces",
    "posterior_of",
    "posterior_of_answers",
    "posterior_of_corpus",
    "posterior_of_text",
    "side_by_side",
    "threshold_links",
]
