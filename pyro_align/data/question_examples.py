"""Questions about images as examples: ids of words and answers, and what an image is."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pyro_align.data.answers import AnswerVocabulary, question_words
from pyro_align.data.batch import length_mask, padded_ids
from pyro_align.data.images import ImageFolder
from pyro_align.data.noise import Noise
from pyro_align.data.question_batches import ImageBatch, QuestionBatch, RegionBatch
from pyro_align.data.questions import Question
from pyro_align.data.regions import RegionStore
from pyro_align.data.symbols import SymbolVocabulary
from pyro_align.errors import DataError


class QuestionExamples(ABC):
    """Base class of questions about images, from which batches are made.

    The size of a batch is its number of questions: ``source_lengths`` are 1, whatever the number
    of regions.

    Args:
        questions: the questions. The target of a question whose answer is not in the vocabulary,
            or that has none, is 0.
        words: vocabulary of the questions.
        answers: vocabulary of the answers.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        words: SymbolVocabulary,
        answers: AnswerVocabulary,
    ):
        self.questions = questions
        self._encoded = words.encode_all([question_words(each.text) for each in questions])
        known = (each.answer if each.answers else "" for each in questions)
        self._answers = [answers.id(each) if each in answers else 0 for each in known]
        self.source_lengths: NDArray[np.int32] = np.ones(len(questions), np.int32)
        self.target_lengths: NDArray[np.int32] = np.ones(len(questions), np.int32)

    def __len__(self) -> int:
        return len(self.questions)

    def batch(self, indices: ArrayLike) -> QuestionBatch:
        """Return a batch of questions, given by their 0-based positions, in that order.

        Raises:
            DataError: if an image cannot be read.
        """
        rows = np.asarray(indices, np.int32)
        question, question_lengths = padded_ids([self._encoded[row] for row in rows])
        ones = torch.ones(len(rows), dtype=torch.long)
        kind, source_lengths, source = self._read([self.questions[row] for row in rows])
        return kind(
            question=question,
            question_lengths=question_lengths,
            target=torch.tensor([[self._answers[row]] for row in rows]),
            source_mask=length_mask(source_lengths),
            target_mask=length_mask(ones),
            source_lengths=source_lengths,
            target_lengths=ones,
            indices=torch.as_tensor(rows),
            noise=Noise(zlib.crc32(rows.tobytes())),
            **source,
        )

    @abstractmethod
    def _read(self, questions: Sequence[Question]) -> tuple[type[Any], Tensor, dict[str, Tensor]]:
        """Return the class of the batch, the numbers of regions, and what is read of the images."""


@final
class RegionExamples(QuestionExamples):
    """Questions about images whose regions have features.

    Args:
        questions: see :class:`QuestionExamples`.
        words: likewise.
        answers: likewise.
        store: the features.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        words: SymbolVocabulary,
        answers: AnswerVocabulary,
        store: RegionStore,
    ):
        super().__init__(questions, words, answers)
        self.store = store

    def _read(self, questions: Sequence[Question]) -> tuple[type[Any], Tensor, dict[str, Tensor]]:
        images = [each.image for each in questions]
        found = {image: self.store[image] for image in dict.fromkeys(images)}
        features = [torch.as_tensor(found[image].features) for image in images]
        lengths = torch.tensor([len(each) for each in features])
        edges = [found[image].relative_boxes for image in images]
        boxes = [
            torch.zeros(len(each), 4) if given is None else torch.as_tensor(given)
            for each, given in zip(features, edges, strict=True)
        ]
        padded = {
            "regions": pad_sequence(features, batch_first=True),
            "boxes": pad_sequence(boxes, batch_first=True),
        }
        return RegionBatch, lengths, padded


@final
class ImageExamples(QuestionExamples):
    """Questions about images that are given as pixels.

    Args:
        questions: see :class:`QuestionExamples`.
        words: likewise.
        answers: likewise.
        images: the images, all resized to one size.
        cells: number of grid cells that the network makes of an image.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        words: SymbolVocabulary,
        answers: AnswerVocabulary,
        images: ImageFolder,
        cells: int,
    ):
        super().__init__(questions, words, answers)
        self.images = images
        self.cells = cells

    def _read(self, questions: Sequence[Question]) -> tuple[type[Any], Tensor, dict[str, Tensor]]:
        images = torch.stack([self._pixels(each) for each in questions]).float() / 255
        return ImageBatch, torch.full((len(questions),), self.cells), {"images": images}

    def _pixels(self, question: Question) -> Tensor:
        try:
            return self.images[question.image]
        except DataError as error:
            raise DataError(f"{question.place}: {error}") from error
