"""Posteriors of answers as pandas tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pyro_align.posterior.answers.question import QuestionPosterior
from pyro_align.posterior.frames import joined
from pyro_align.posterior.sentence import ENTROPIES, KINDS, SUMS

Questions = Sequence[QuestionPosterior]

_EDGES = ("left", "top", "right", "bottom")


def regions(questions: Questions) -> pd.DataFrame:
    """Implement ``AnswerPosterior.to_frame``."""

    def columns(number: int, one: QuestionPosterior) -> dict[str, Any]:
        count = len(one.image)
        gold = np.isin(np.arange(count), sorted(one.question.regions)).astype(object)
        return {
            "question": np.full(count, number),
            "id": _repeated(one.question.id, count),
            "image": _repeated(one.question.image, count),
            "text": _repeated(one.question.text, count),
            "answer": _repeated(one.observed, count),
            "region": np.arange(count),
            "name": np.array(one.image.names, dtype=object),
            **dict(zip(_EDGES, one.image.boxes.T, strict=True)),
            **{
                kind: one.regions(kind) if kind in one.kinds else np.full(count, np.nan)
                for kind in KINDS
            },
            "gold": gold if one.question.regions else _repeated(None, count),
        }

    found = [columns(number, one) for number, one in enumerate(questions)]
    return joined({name: [each[name] for each in found] for name in found[0]})


def answers(questions: Questions) -> pd.DataFrame:
    """Implement ``AnswerPosterior.answers_frame``."""
    return pd.DataFrame(
        [
            {
                "question": number,
                "answer": answer,
                "probability": float(probability),
                "given": one.question.answers.count(answer) if one.question.answers else None,
            }
            for number, one in enumerate(questions)
            for answer, probability in zip(one.answers, one.probabilities, strict=True)
        ]
    )


def questions(questions: Questions) -> pd.DataFrame:
    """Implement ``AnswerPosterior.questions_frame``."""
    return pd.DataFrame(
        [
            {
                "question": number,
                "id": one.question.id,
                "kind": one.question.kind,
                "image": one.question.image,
                "text": one.question.text,
                "answer": one.gold,
                "predicted": one.answers[0],
                "probability": float(one.probabilities[0]),
                "correct": one.is_correct,
                **{name: one.quantity(name) for name in (*SUMS, *ENTROPIES)},
            }
            for number, one in enumerate(questions)
        ]
    )


def _repeated(value: Any, count: int) -> Any:
    return np.full(count, value, dtype=object)
