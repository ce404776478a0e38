"""`QuestionPosterior`: prior, guide and posterior of the region that one answer depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from pyro_align.data import Question
from pyro_align.errors import UserError
from pyro_align.posterior.answers.region_image import RegionImage
from pyro_align.posterior.sentence import SentencePosterior


@dataclass(frozen=True, kw_only=True, eq=False)
class QuestionPosterior:
    """Answers to a question about an image, and the region that the answer depends on.

    Attributes:
        question: the question, with the correct answers and gold regions if they are known.
        image: regions of the image.
        answers: the most probable answers, in decreasing order of probability. The correct answer
            is the last one if it is less probable than all others.
        probabilities: probability of each answer, with regions summed out.
        alignment: distributions of the region. Its source tokens are the names of the regions, its
            one target token is the answer that guide and exact posterior condition on: the correct
            answer, or the most probable one if the correct answer is not known or not in the
            vocabulary.

    Raises:
        UserError: if the numbers of regions or answers differ.
    """

    question: Question
    image: RegionImage
    answers: tuple[str, ...]
    probabilities: Float[ndarray, " answer"]
    alignment: SentencePosterior

    def __post_init__(self) -> None:
        if len(self.alignment.source) != len(self.image) or len(self.alignment.target) != 1:
            raise UserError(
                f"an alignment of {len(self.alignment.target)} answers with "
                f"{len(self.alignment.source)} regions, but there is one answer, and the image has "
                f"{len(self.image)} regions"
            )
        if len(self.answers) != len(self.probabilities) or not self.answers:
            raise UserError(
                f"{len(self.answers)} answers with {len(self.probabilities)} probabilities: pass "
                f"one for each answer, and at least one answer"
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of ``prior``, ``guide`` and ``posterior`` that are available."""
        return self.alignment.kinds

    def regions(self, kind: str) -> Float[ndarray, " region"]:
        """Return the probability of each region.

        Args:
            kind: one of :attr:`kinds`.

        Raises:
            ConfigError: if the kind is not available.
        """
        probabilities: Any = self.alignment.matrix(kind)[0]
        return probabilities

    @property
    def observed(self) -> str:
        """The answer that guide and exact posterior condition on."""
        return self.alignment.target[0]

    @property
    def gold(self) -> str | None:
        """The correct answer; None if it is not known."""
        return self.question.answer if self.question.answers else None

    @property
    def is_correct(self) -> bool | None:
        """Whether the most probable answer is the correct one; None if that is not known."""
        return None if self.gold is None else self.answers[0] == self.gold

    def quantity(self, name: str) -> float:
        """Return a quantity of :attr:`alignment`, such as ``log_evidence``; NaN if undefined."""
        values = getattr(self.alignment, name)
        return float("nan") if values is None else float(values[0])
