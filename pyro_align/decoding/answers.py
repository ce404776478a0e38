"""The most probable answers to questions, and the regions that each depends on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from pyro_align.data import Question
from pyro_align.data.batch import Batch
from pyro_align.inference import score_positions


class Answer(NamedTuple):
    """A predicted answer.

    Attributes:
        text: the answer.
        probability: its probability, with regions summed out.
        regions: probability of each region given this answer; None without a latent region.
    """

    text: str
    probability: float
    regions: tuple[float, ...] | None


class AnswerPrediction(NamedTuple):
    """The most probable answers to a question.

    Attributes:
        question: the question.
        answers: the answers, best first.
        prior: probability of each region before the answer is known; the weights of soft attention.
    """

    question: Question
    answers: tuple[Answer, ...]
    prior: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        named = {"id": self.question.id} if self.question.id else {}
        return {
            **named,
            "image": self.question.image,
            "question": self.question.text,
            "answers": [each._asdict() for each in self.answers],
            "prior": self.prior,
        }


@torch.no_grad()
def predict_answers(
    model: Any,
    batch: Batch,
    questions: Sequence[Question],
    answers: Sequence[str],
    n_best: int = 1,
    top_k: int | None = None,
) -> list[AnswerPrediction]:
    """Find the most probable answers to the questions of a batch, with regions summed out.

    Args:
        model: the model, in evaluation mode.
        batch: the questions, on the device of the model; their targets are not used.
        questions: the same questions as text.
        answers: the vocabulary of answers, in the order of their ids.
        n_best: number of answers to a question; fewer if the vocabulary has fewer.
        top_k: sum over the K most probable regions only; None for all.
    """
    log_probs = model.next_token(model.states(batch), top_k)[:, 0]
    best, ids = log_probs.topk(min(n_best, len(answers)), -1)
    given = [
        score_positions(model, None, dataclasses.replace(batch, target=each, computed=None))
        for each in ids.split(1, -1)
    ]
    found = []
    for row, (question, length) in enumerate(
        zip(questions, batch.source_lengths.tolist(), strict=True)
    ):
        own = [
            Answer(answers[number], probability, _regions(one.log_posterior, row, length))
            for number, probability, one in zip(
                ids[row].tolist(), best[row].exp().tolist(), given, strict=True
            )
        ]
        prior = _regions(given[0].log_prior, row, length)
        assert prior is not None
        found.append(AnswerPrediction(question, tuple(own), prior))
    return found


def _regions(logs: Any, row: int, length: int) -> tuple[float, ...] | None:
    """Return the probabilities of the regions of one question; None if there are none."""
    return None if logs is None else tuple(logs[row, 0, :length].exp().tolist())
