"""Files of posteriors of answers: those of their alignments, with questions and pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_align.data import Question
from pyro_align.posterior import storage
from pyro_align.posterior.answers.question import QuestionPosterior
from pyro_align.posterior.answers.region_image import Picture, RegionImage


def write(path: Path, questions: Sequence[QuestionPosterior], title: str) -> None:
    """Write questions to a file; each image once.

    Raises:
        OutputError: if the file cannot be written; an existing file is unchanged.
    """
    facts, arrays = storage.packed((one.alignment for one in questions), title, "words")
    images = list({id(one.image): one.image for one in questions}.values())
    numbers = {id(image): number for number, image in enumerate(images)}
    facts["questions"] = [
        {
            "question": _facts(one.question),
            "image": numbers[id(one.image)],
            "answers": one.answers,
        }
        for one in questions
    ]
    pictures = [b"" if image.picture is None else image.picture.data for image in images]
    facts["images"] = [
        {
            "names": image.names,
            "width": image.width,
            "height": image.height,
            "format": None if image.picture is None else image.picture.format,
            "bytes": len(data),
        }
        for image, data in zip(images, pictures, strict=True)
    ]
    arrays["probabilities"] = np.concatenate([one.probabilities for one in questions])
    arrays["boxes"] = np.concatenate([image.boxes for image in images])
    arrays["pictures"] = np.frombuffer(b"".join(pictures), dtype=np.uint8)
    storage.write_archive(path, facts, arrays)


def read(path: Path) -> tuple[list[QuestionPosterior], str]:
    """Read questions and title from a file.

    Raises:
        UserError: if the file is missing, damaged, of another format or of a newer version.
    """
    with storage.archive(path, "AnswerPosterior") as (facts, arrays):
        own = {name: arrays.pop(name) for name in ("probabilities", "boxes", "pictures")}
        alignments, title, _ = storage.unpacked(facts, arrays)
        images = list(_images(facts["images"], own["boxes"], own["pictures"].tobytes()))
        parts = _cut(own["probabilities"], [len(each["answers"]) for each in facts["questions"]])
        questions = [
            QuestionPosterior(
                question=_question(fact["question"]),
                image=images[fact["image"]],
                answers=tuple(fact["answers"]),
                probabilities=probabilities,
                alignment=alignment,
            )
            for fact, probabilities, alignment in zip(
                facts["questions"], parts, alignments, strict=True
            )
        ]
        return questions, title


def _facts(question: Question) -> dict[str, Any]:
    return {**dataclasses.asdict(question), "regions": sorted(question.regions)}


def _question(facts: dict[str, Any]) -> Question:
    tuples = {"answers": tuple(facts["answers"]), "regions": frozenset(facts["regions"])}
    return Question(**{**facts, **tuples})


def _images(
    facts: list[dict[str, Any]], boxes: NDArray[Any], pictures: bytes
) -> Iterator[RegionImage]:
    of_images = _cut(boxes, [len(fact["names"]) for fact in facts])
    ends = accumulate((fact["bytes"] for fact in facts), initial=0)
    for fact, own, (start, end) in zip(facts, of_images, pairwise(ends), strict=True):
        form = fact["format"]
        picture = None if form is None else Picture(pictures[start:end], form)
        yield RegionImage(own, tuple(fact["names"]), fact["width"], fact["height"], picture)


def _cut(array: NDArray[Any], lengths: Sequence[int]) -> list[NDArray[Any]]:
    """Cut an array into parts of some lengths, which must be all of it."""
    if sum(lengths) != len(array):
        raise ValueError("an array has another length than its parts")
    return np.split(array, np.cumsum(lengths)[:-1])
