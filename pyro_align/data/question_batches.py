"""Batches of questions about images: regions with features, or pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class QuestionBatch(Batch):
    """Base class of batches of questions, whose one target position is the answer.

    The sources are the regions of an image: ``source_mask`` is true on real regions. If an answer
    is not known, such as for a prediction, ``target`` is 0.

    Attributes:
        question: word ids of each question.
        question_lengths: numbers of words, at least one; always on the CPU.
    """

    on_cpu: ClassVar[frozenset[str]] = Batch.on_cpu | {"question_lengths"}

    question: Int[Tensor, "batch word"]
    question_lengths: Int[Tensor, " batch"]


@dataclass(frozen=True, kw_only=True)
class RegionBatch(QuestionBatch):
    """Questions about images that are given as features of regions.

    Attributes:
        regions: features of each region, zero on padding.
        boxes: left, top, right and bottom edge of each region, as fractions of the width and
            height of the image; zero on padding.
    """

    regions: Float[Tensor, "batch source feature"]
    boxes: Float[Tensor, "batch source 4"]


@dataclass(frozen=True, kw_only=True)
class ImageBatch(QuestionBatch):
    """Questions about images that are given as pixels; regions are the cells of a grid.

    Attributes:
        images: red, green and blue of each pixel, from 0 to 1; all images have one size.
    """

    images: Float[Tensor, "batch 3 height width"]
