"""Posteriors of answers from a model, a guide and a batch of questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from pyro_align.data import GoldLinks, Question
from pyro_align.data.batch import Batch
from pyro_align.errors import UserError
from pyro_align.posterior.answers.answer_posterior import AnswerPosterior
from pyro_align.posterior.answers.question import QuestionPosterior
from pyro_align.posterior.answers.region_image import RegionImage
from pyro_align.posterior.build import posterior_of

SHOWN = 8
"""Number of answers that are kept for each question."""


@torch.no_grad()
def posterior_of_answers(
    model: Any,
    guide: Any,
    batch: Batch,
    questions: Sequence[Question],
    answers: Sequence[str],
    images: Sequence[RegionImage],
    *,
    most: int = SHOWN,
    title: str | None = None,
) -> AnswerPosterior:
    """Compute the answers to a batch of questions, and the regions that they depend on.

    Guide and exact posterior condition on the correct answer. If it is not known or not in the
    vocabulary, they condition on the most probable one.

    Args:
        model: an :class:`~pyro_align.models.AlignmentModel`, in evaluation mode.
        guide: the guide, likewise; None if there is none.
        batch: questions with one target position, on the device of the programs; see
            :func:`posterior_of`.
        questions: the questions of the batch.
        answers: the vocabulary of answers, in the order of their ids.
        images: regions of the image of each question.
        most: number of answers to keep for each question, in addition to the correct one.
        title: title of the result; None for the names of model and guide.

    Raises:
        UserError: if the numbers of questions, images or regions differ from those of the batch,
            or a gold region does not exist.
        IncompatibleError: if the alignments of the programs cannot be scored.
    """
    for noun, given in (("questions", questions), ("images", images)):
        if len(given) != len(batch):
            raise UserError(f"{len(given)} {noun}, but the batch has {len(batch)} questions")
    ids = {answer: number for number, answer in enumerate(answers)}
    log_probs = model.next_token(model.states(batch))[:, 0]
    best = log_probs.argmax(-1).tolist()
    correct = [ids.get(one.answer) if one.answers else None for one in questions]
    observed = [top if known is None else known for top, known in zip(best, correct, strict=True)]
    alignments = posterior_of(
        model,
        guide,
        # Without results that were computed for other answers.
        dataclasses.replace(
            batch, target=batch.target.new_tensor(observed).unsqueeze(1), computed=None
        ),
        [image.names for image in images],
        [(answers[number],) for number in observed],
        gold=[
            GoldLinks(frozenset((region, 0) for region in question.regions))
            for question in questions
        ],
        title=title,
    )
    found = []
    for row, (question, image) in enumerate(zip(questions, images, strict=True)):
        probabilities = log_probs[row].double().exp()
        kept = probabilities.topk(min(most, len(answers))).indices.tolist()
        if (known := correct[row]) is not None and known not in kept:
            kept.append(known)
        alignment = alignments[row]
        if not question.regions:
            alignment = dataclasses.replace(alignment, gold=None)
        found.append(
            QuestionPosterior(
                question=question,
                image=image,
                answers=tuple(answers[number] for number in kept),
                probabilities=probabilities[kept].cpu().numpy(),
                alignment=alignment,
            )
        )
    return AnswerPosterior(found, alignments.title)
