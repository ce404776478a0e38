"""`AnswerPosterior`: posteriors of the regions that answers depend on, as tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, final, overload

from pyro_align.errors import ConfigError, UserError, nearest
from pyro_align.files import atomic_write
from pyro_align.posterior.alignment_posterior import AlignmentPosterior
from pyro_align.posterior.answers.question import QuestionPosterior
from pyro_align.posterior.sentence import KINDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

ORDERS = {
    "file": "as in the file",
    "answer": "least certain answer",
    "region": "least certain region",
    "divergence": "largest divergence of posterior and prior",
    "wrong": "wrong answers, most certain first",
}
"""Orders of questions with their descriptions, see :meth:`AnswerPosterior.order`."""


@final
class AnswerPosterior(Sequence[QuestionPosterior]):
    """Answers to questions, and the regions they depend on: :class:`QuestionPosterior` objects.

    Created by ``run.posterior(...)`` of a run of the task ``vqa`` or by
    :func:`posterior_of_answers`, and displayed in notebooks. A slice is an :class:`AnswerPosterior`
    too, with questions numbered from 0.

    Args:
        questions: posteriors of the questions.
        title: name of model and guide.
    """

    def __init__(self, questions: Iterable[QuestionPosterior], title: str = ""):
        self.questions = tuple(questions)
        self.title = title

    def __len__(self) -> int:
        return len(self.questions)

    @overload
    def __getitem__(self, index: int) -> QuestionPosterior: ...

    @overload
    def __getitem__(self, index: slice) -> AnswerPosterior: ...

    def __getitem__(self, index: int | slice) -> QuestionPosterior | AnswerPosterior:
        if isinstance(index, slice):
            return AnswerPosterior(self.questions[index], self.title)
        return self.questions[index]

    def __iter__(self) -> Iterator[QuestionPosterior]:
        return iter(self.questions)

    def __repr__(self) -> str:
        return f"AnswerPosterior({self.title!r}, {len(self)} questions)"

    def _repr_html_(self) -> str:
        from pyro_align.posterior.answers.html import render

        return render(self)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of ``prior``, ``guide`` and ``posterior`` that all questions have."""
        return tuple(kind for kind in KINDS if all(kind in one.kinds for one in self))

    @property
    def alignments(self) -> AlignmentPosterior:
        """The same distributions as alignments of answers with regions, for its other methods.

        Such as ``posterior.alignments.calibration("guide")``.
        """
        return AlignmentPosterior((one.alignment for one in self), self.title, "words")

    @property
    def orders(self) -> tuple[str, ...]:
        """Names of the orders that :meth:`order` has for these questions."""
        has = {
            "divergence": len(self.kinds) > 1,
            "wrong": any(one.is_correct is False for one in self),
        }
        return tuple(name for name in ORDERS if has.get(name, True))

    def order(self, by: str) -> list[int]:
        """Return the indices of questions in another order.

        Args:
            by: ``file`` for the order of the questions; ``answer``: the probability of the most
                probable answer, increasing; ``region``: the entropy of the exact posterior (if not
                available, of the guide or prior), decreasing; ``divergence``: KL(exact posterior ‖
                prior), if not available KL(guide ‖ prior), decreasing; ``wrong``: only questions
                whose most probable answer is not correct, by its probability, decreasing.

        Raises:
            ConfigError: if there is no such order for these questions.
        """
        if by not in self.orders:
            raise ConfigError(f"no order {by!r} of these questions: {nearest(by, self.orders)}")
        entropy = f"{self.kinds[-1]}_entropy"
        divergence = "information" if "posterior" in self.kinds else "kl"
        keys: dict[str, Callable[[QuestionPosterior], float]] = {
            "file": lambda one: 0.0,
            "answer": lambda one: float(one.probabilities[0]),
            "region": lambda one: -one.quantity(entropy),
            "divergence": lambda one: -one.quantity(divergence),
            "wrong": lambda one: -float(one.probabilities[0]),
        }
        among = [n for n, one in enumerate(self) if by != "wrong" or one.is_correct is False]
        return sorted(among, key=lambda index: keys[by](self[index]))

    def to_frame(self) -> DataFrame:
        """Return a table with one row per (question, region).

        Columns: ``question`` (from 0), ``id``, ``image``, ``text``, ``answer`` (that guide and
        posterior condition on), ``region`` (from 0), ``name``, the edges ``left``, ``top``,
        ``right`` and ``bottom`` as fractions of the image, the probabilities ``prior``, ``guide``
        and ``posterior`` of the region, and ``gold``: whether it is a gold region. Undefined values
        are missing.
        """
        from pyro_align.posterior.answers.frames import regions

        return regions(self._some())

    def answers_frame(self) -> DataFrame:
        """Return a table with one row per (question, answer), for the most probable answers.

        Columns: ``question``, ``answer``, ``probability``, and ``given``: the
        number of persons who gave this answer, missing if no answer is known.
        """
        from pyro_align.posterior.answers.frames import answers

        return answers(self._some())

    def questions_frame(self) -> DataFrame:
        """Return a table with one row per question, quantities in nats.

        Columns: ``question``, ``id``, ``kind``, ``image``, ``text``, ``answer`` (the correct one),
        ``predicted`` (the most probable one), its ``probability``, ``correct``, and the quantities
        of :meth:`AlignmentPosterior.positions_frame`. Undefined values are missing.
        """
        from pyro_align.posterior.answers.frames import questions

        return questions(self._some())

    def plot(
        self,
        question: int = 0,
        kind: str | Sequence[str] | None = None,
        path: Path | str | None = None,
    ) -> Figure:
        """Plot one question: the image with its regions once per distribution, and the answers.

        The more probable a region, the clearer the image and the darker its frame; without a
        picture, the darker the region. Gold regions have orange frames.

        Args:
            question: index of the question.
            kind: ``prior``, ``guide`` or ``posterior``, or several; None for all.
            path: also save the figure to this file, as PNG, SVG or PDF depending on the extension.

        Raises:
            UserError: if kind or question do not exist, or the file cannot be written.
        """
        from pyro_align.posterior.answers.figure import draw
        from pyro_align.posterior.figure import write

        one = self.question(question)
        kinds = one.kinds if kind is None else (kind,) if isinstance(kind, str) else tuple(kind)
        if not kinds:
            raise ConfigError(f"no distribution to plot: choose from {', '.join(one.kinds)}")
        figure = draw(one, kinds, self.title)
        if path is not None:
            write(figure, Path(path))
        return figure

    def question(self, number: int) -> QuestionPosterior:
        """Return one question; negative numbers count from the end.

        Raises:
            ConfigError: if the number is out of range.
        """
        if not -len(self) <= number < len(self):
            raise ConfigError(f"no question {number}: there are {len(self)}, counted from 0")
        return self.questions[number]

    def to_html(self, path: Path | str) -> None:
        """Write the interactive view to a self-contained HTML file.

        Each image is embedded once, see :meth:`Picture.of` for its size.

        Raises:
            UserError: if the file cannot be written.
        """
        from pyro_align.posterior.html import page

        with atomic_write(Path(path), "t") as file:
            file.write(page(self.title or "questions", [self._repr_html_()]))

    def to_csv(self, path: Path | str) -> None:
        """Write :meth:`to_frame` as CSV, without the index.

        Raises:
            UserError: if the file cannot be written.
        """
        frame = self.to_frame()
        with atomic_write(Path(path), "t") as file:
            frame.to_csv(file, index=False)

    def save(self, path: Path | str) -> None:
        """Save to one ``.npz`` file with all pictures, atomically.

        Raises:
            UserError: if there are no questions, or the file cannot be written.
        """
        from pyro_align.posterior.answers.storage import write

        write(Path(path), self._some(), self.title)

    @classmethod
    def load(cls, path: Path | str) -> AnswerPosterior:
        """Load a file written by :meth:`save`.

        Raises:
            UserError: if the file is missing, damaged, of another format or of a newer version.
        """
        from pyro_align.posterior.answers.storage import read

        return cls(*read(Path(path)))

    def _some(self) -> AnswerPosterior:
        if not self:
            raise UserError("the posterior contains no questions")
        return self
