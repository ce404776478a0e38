"""Evaluation of answers to questions about images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_align.data.answers import AnswerVocabulary
from pyro_align.data.batch import Batch
from pyro_align.data.batching import all_batches
from pyro_align.data.question_examples import QuestionExamples
from pyro_align.data.questions import Question
from pyro_align.evaluation.positions import evaluate_batches
from pyro_align.evaluation.quantities import QUANTITIES, named
from pyro_align.evaluation.result import Evaluation, Measure
from pyro_align.evaluation.vqa_scores import vqa_accuracy
from pyro_align.inference import PositionScores
from pyro_align.posterior.frames import calibration_error, reliability

if TYPE_CHECKING:
    from pandas import DataFrame

DISTRIBUTIONS = ("posterior", "guide", "prior")
"""Distributions of the region, in the order of a table."""

ACCURACIES = ("answer_accuracy", "vqa_accuracy")
"""Measures of the best answer, as means over questions."""


@dataclass(frozen=True)
class AnsweredQuestion:
    """The best answer to a question, and where the model looks.

    Attributes:
        question: the question, with its correct answers.
        prediction: the most probable answer.
        confidence: its probability.
        log_evidence: log probability of the correct answer, in nats; None if it is not in the
            vocabulary.
        gold: for each distribution of the region the probability of the gold regions, and whether
            the most probable region is one of them; empty without gold regions, or if the answer
            is not in the vocabulary.
    """

    question: Question
    prediction: str
    confidence: float
    log_evidence: float | None = None
    gold: Mapping[str, tuple[float, bool]] = field(default_factory=dict)

    @property
    def answer_accuracy(self) -> float:
        """1 if the prediction is the correct answer, otherwise 0."""
        return float(self.prediction == self.question.answer)

    @property
    def vqa_accuracy(self) -> float | None:
        """VQA accuracy of the prediction; None if a single answer was given."""
        answers = self.question.answers
        return vqa_accuracy(self.prediction, answers) if len(answers) > 1 else None


@dataclass(frozen=True)
class AnswerScores:
    """Answers to questions, of which means over questions are computed."""

    answered: tuple[AnsweredQuestion, ...] = field(default=(), repr=False)

    @cached_property
    def values(self) -> dict[str, list[tuple[str, float]]]:
        """Kind of the question and value for each measure, of the questions that have it.

        Measures: ``nll``, those of :data:`ACCURACIES`, and for each distribution ``gold_mass_…``
        and ``gold_accuracy_…``.
        """
        found: dict[str, list[tuple[str, float]]] = {}
        for one in self.answered:
            measured = {
                "nll": None if one.log_evidence is None else -one.log_evidence,
                **{name: getattr(one, name) for name in ACCURACIES},
            }
            for distribution, (mass, hit) in one.gold.items():
                measured[f"gold_mass_{distribution}"] = mass
                measured[f"gold_accuracy_{distribution}"] = float(hit)
            for name, value in measured.items():
                if value is not None:
                    found.setdefault(name, []).append((one.question.kind, value))
        return found

    def mean(self, name: str, kind: str | None = None) -> float | None:
        """Return the mean of a measure; None if no question has it.

        Args:
            name: name of the measure, see :attr:`values`.
            kind: type of the questions; None for all.
        """
        chosen = self._chosen(name, kind)
        return float(chosen.mean()) if len(chosen) else None

    def interval(
        self, name: str, level: float = 0.95, *, samples: int = 1000, seed: int = 0
    ) -> tuple[float, float]:
        """Return a percentile bootstrap interval of a mean, over questions.

        The interval reflects the choice of test questions, not that of the training seed.

        Args:
            name: name of the measure, see :attr:`values`.
            level: confidence level, above 0 and below 1.
            samples: number of resampled test sets.
            seed: seed of the resampling; the same seed gives the same interval.

        Raises:
            ValueError: if no question has the measure, or ``level`` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"an interval needs a level between 0 and 1, got {level}")
        chosen = self._chosen(name, None)
        if not len(chosen):
            raise ValueError(f"no question has the measure {name!r}")
        generator = np.random.default_rng(seed)
        means = [generator.choice(chosen, len(chosen)).mean() for _ in range(samples)]
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def table(self) -> DataFrame:
        """Return a table with one row per type of question, in alphabetical order.

        Columns: ``questions``, and the mean of each measure of :attr:`values`.
        """
        import pandas as pd

        kinds = sorted({one.question.kind for one in self.answered})
        rows = {
            kind: {
                "questions": sum(one.question.kind == kind for one in self.answered),
                **{name: self.mean(name, kind) for name in self.values},
            }
            for kind in kinds
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("type")

    def calibration(self, bins: int = 10) -> DataFrame:
        """Return accuracy by probability of the best answer, in bins of equal width.

        Returns:
            One row per bin: ``lower``, ``upper``, number of ``questions``, their mean
            ``confidence`` and ``accuracy``, both missing if the bin is empty.
        """
        confidences = [one.confidence for one in self.answered]
        correct = [bool(one.answer_accuracy) for one in self.answered]
        return reliability(confidences, correct, bins, "questions")

    def calibration_error(self, bins: int = 10) -> float:
        """Return the expected calibration error, from the bins of :meth:`calibration`."""
        return calibration_error(self.calibration(bins), "questions")

    def _chosen(self, name: str, kind: str | None) -> NDArray[np.float64]:
        values = self.values.get(name, [])
        return np.array([value for of, value in values if kind in (None, of)])


@dataclass
class AnswerEvaluation(Evaluation):
    """Results of an evaluation on questions.

    Attributes:
        answers: the answers, with their scores.
    """

    answers: AnswerScores = AnswerScores()

    def measures(self) -> list[Measure]:
        """Return the rows of the table in order, without quantities that were not measured."""
        scores = self.answers
        prior = "prior" if self.positions.latent else "attention"
        summed = "estimated from samples; an upper bound"
        if not self.positions.estimated:
            summed = "regions summed out" if self.positions.latent else ""
        note = ", ".join(filter(None, (QUANTITIES["nll"].unit, summed)))
        found = [_measure("nll", -self.positions.log_evidence, note)]
        found += [
            row._replace(note=named(row.note, "question"))
            for row in self.positions.measures()
            if row.name != QUANTITIES["log_evidence"].label
        ]
        for name in ACCURACIES:
            if name in scores.values:
                found.append(self._mean(name, QUANTITIES[name].label))
        found.append(_measure("answer_calibration_error", scores.calibration_error()))
        for quantity in ("gold_accuracy", "gold_mass"):
            for distribution in DISTRIBUTIONS:
                if (name := f"{quantity}_{distribution}") in scores.values:
                    of = prior if distribution == "prior" else distribution
                    found.append(self._mean(name, f"{QUANTITIES[quantity].label} of the {of}"))
        kinds = scores.table() if any(one.question.kind for one in scores.answered) else None
        if kinds is not None:
            for kind, row in kinds.iterrows():
                note = f"{row['questions']:.0f} questions"
                if row["nll"] == row["nll"]:
                    note = f"{QUANTITIES['nll'].label} {row['nll']:.3f}, {note}"
                label = f"{QUANTITIES['answer_accuracy'].label}, {kind}"
                found.append(
                    _measure("answer_accuracy", row["answer_accuracy"], note)._replace(name=label)
                )
        found.append(Measure(self.unit, self.sentences, 0, ""))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without quantities that were not measured."""
        scores = self.answers
        result = super().to_dict()
        del result["perplexity"]
        result["nll"] = -self.positions.log_evidence
        for name in scores.values:
            if name != "nll":
                result[name] = scores.mean(name)
                result[f"{name}_interval"] = list(scores.interval(name))
        result["answer_calibration_error"] = scores.calibration_error()
        result["calibration"] = _rows(scores.calibration())
        table = scores.table()
        result["types"] = dict(zip(map(str, table.index), _rows(table), strict=True))
        return result

    def _mean(self, name: str, label: str) -> Measure:
        low, high = self.answers.interval(name)
        value = self.answers.mean(name)
        assert value is not None
        base = next(n for n in ("gold_accuracy", "gold_mass", name) if name.startswith(n))
        digits = QUANTITIES[base].digits
        return Measure(label, value, digits, f"95 % within {low:.{digits}f} and {high:.{digits}f}")


def evaluate_answers(
    model: Any,
    guide: Any,
    known: QuestionExamples,
    others: QuestionExamples | None,
    answers: AnswerVocabulary,
    *,
    batch_questions: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] = lambda done: None,
) -> AnswerEvaluation:
    """Compute likelihood, posterior and the accuracy of the best answers.

    Args:
        model: a Pyro program over a batch, in evaluation mode.
        guide: a Pyro program over a batch, in evaluation mode.
        known: questions whose answer is in the vocabulary.
        others: questions whose answer is not: their predictions are wrong, and they count in no
            likelihood; None if there are none.
        answers: the vocabulary.
        batch_questions: number of questions per batch.
        device: device of model and guide.
        progress: called with the number of questions done.
    """
    found: list[AnsweredQuestion] = []

    def collect(batch: Batch, scores: PositionScores) -> None:
        log_evidence = scores.log_evidence[:, 0].tolist()
        gold = _gold(scores, [known.questions[i] for i in batch.indices.tolist()])
        best = _best(model, batch, known, answers)
        for one, value, regions in zip(best, log_evidence, gold, strict=True):
            found.append(AnsweredQuestion(*one, log_evidence=value, gold=regions))

    batches = all_batches(known, batch_questions)
    whole = evaluate_batches(model, guide, batches, device=device, progress=progress, each=collect)
    if others is not None:
        for batch in all_batches(others, batch_questions):
            best = _best(model, batch.to(device), others, answers)
            found += [AnsweredQuestion(*one) for one in best]
            progress(len(found))
    return AnswerEvaluation(
        len(found), whole.positions, unit="questions", answers=AnswerScores(tuple(found))
    )


@torch.no_grad()
def _best(
    model: Any, batch: Batch, examples: QuestionExamples, answers: AnswerVocabulary
) -> list[tuple[Question, str, float]]:
    """Return each question of a batch with its best answer and the probability of that."""
    log_probs, ids = model.next_token(model.states(batch))[:, 0].max(-1)
    return [
        (examples.questions[index], answers.answers[best], confidence)
        for index, best, confidence in zip(
            batch.indices.tolist(), ids.tolist(), log_probs.exp().tolist(), strict=True
        )
    ]


def _gold(
    scores: PositionScores, questions: Sequence[Question]
) -> list[dict[str, tuple[float, bool]]]:
    """Return probability and hit of the gold regions of each question, by distribution."""
    found: list[dict[str, tuple[float, bool]]] = [{} for _ in questions]
    for distribution in DISTRIBUTIONS:
        logs = getattr(scores, f"log_{distribution}")
        if logs is None:
            continue
        for row, (question, weights) in enumerate(
            zip(questions, logs[:, 0].exp().cpu(), strict=True)
        ):
            if question.regions:
                mass = float(weights[sorted(question.regions)].sum())
                found[row][distribution] = mass, int(weights.argmax()) in question.regions
    return found


def _measure(name: str, value: float, note: str | None = None) -> Measure:
    quantity = QUANTITIES[name]
    return Measure(quantity.label, value, quantity.digits, quantity.unit if note is None else note)


def _rows(table: DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values, None where a value is missing."""
    return [
        {str(name): None if value != value else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]
