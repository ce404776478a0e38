"""Posteriors of the region of an image that an answer depends on: tables, figures, a view."""

from pyro_align.posterior.answers.answer_posterior import AnswerPosterior
from pyro_align.posterior.answers.build import posterior_of_answers
from pyro_align.posterior.answers.question import QuestionPosterior
from pyro_align.posterior.answers.region_image import Picture, RegionImage

__all__ = [
    "AnswerPosterior",
    "Picture",
    "QuestionPosterior",
    "RegionImage",
    "posterior_of_answers",
]
