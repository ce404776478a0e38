"""Visual question answering: which region of an image does the answer depend on?"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import torch

from pyro_align.config.vqa import AnsweringConfig
from pyro_align.data import (
    AnswerVocabulary,
    ImageBatch,
    ImageFolder,
    Question,
    QuestionBatch,
    QuestionExamples,
    RegionBatch,
    SymbolVocabulary,
    question_vocabulary,
    question_words,
    read_questions,
)
from pyro_align.data.batch import length_mask
from pyro_align.data.noise import Noise
from pyro_align.decoding import AnswerPrediction, predict_answers
from pyro_align.errors import DataError, RunError, UserError, reject_string
from pyro_align.evaluation import AnswerEvaluation, evaluate_answers
from pyro_align.files import atomic_write
from pyro_align.networks import QuestionAnswering
from pyro_align.posterior import (
    AnswerPosterior,
    QuestionPosterior,
    posterior_of_answers,
)
from pyro_align.tasks.displayed_images import DisplayedImages
from pyro_align.tasks.question_data import Images, QuestionData, RegionFormat
from pyro_align.tasks.task import TRIAL_VOCABULARY, Echo, Task

WORDS, ANSWERS, IMAGES = "words.json", "answers.json", "images.json"
"""Files of a run: the vocabularies, and what is read of a region."""

_TRIAL_FEATURES = 6


class VisualQuestionAnswering(Task):
    """Answers to questions about images, each of which depends on one region of its image."""

    configuration = "pyro_align.config.vqa:AnsweringConfig"
    recipe = "scenes"
    unit = "questions"
    target = "question"

    config: AnsweringConfig

    @classmethod
    def ineffective(cls, config: AnsweringConfig, start: AnsweringConfig | None) -> Iterator[str]:
        """Yield a message for every setting that would have no effect."""
        data = config.data
        if data.train is None:
            for name in ("test", "images"):
                if getattr(data, name) is not None:
                    yield (
                        f"data.{name} has no effect with the built-in questions, which have their "
                        f"own: give --train and --valid too, or use `pyro-align evaluate` after "
                        f"the fit"
                    )

    @classmethod
    def trial_network(cls, config: AnsweringConfig) -> QuestionAnswering:
        """Build the network for small vocabularies and regions with few features."""
        sizes = TRIAL_VOCABULARY, TRIAL_VOCABULARY, _TRIAL_FEATURES
        return QuestionAnswering.from_config(config.network, *sizes)

    @classmethod
    def trial_batch(cls, config: AnsweringConfig) -> QuestionBatch:
        """Return two questions about images with different numbers of regions."""
        words = torch.tensor([[5, 6, 7], [8, 9, 0]])
        ones = torch.ones(2, dtype=torch.long)
        common: dict[str, Any] = {
            "question": words,
            "question_lengths": torch.tensor([3, 2]),
            "target": torch.tensor([[4], [7]]),
            "target_mask": length_mask(ones),
            "target_lengths": ones,
            "indices": torch.arange(2),
            "noise": Noise(0),
        }
        generator = torch.Generator().manual_seed(0)
        network = config.network
        if network.regions == "pixels":
            cells = torch.full((2,), network.cells)
            size = network.image_size, network.image_size
            images = torch.rand(2, 3, *size, generator=generator)
            return ImageBatch(
                images=images, source_mask=length_mask(cells), source_lengths=cells, **common
            )
        lengths = torch.tensor([4, 2])
        mask = length_mask(lengths)
        regions = torch.randn(2, 4, _TRIAL_FEATURES, generator=generator) * mask.unsqueeze(-1)
        return RegionBatch(
            regions=regions,
            boxes=torch.zeros(2, 4, 4),
            source_mask=mask,
            source_lengths=lengths,
            **common,
        )

    def prepare(self, echo: Echo) -> None:
        """Write the built-in questions, if they are used, vocabularies and region format."""
        data = self.config.data
        self.data.write()
        train = self.questions("train")
        words = question_vocabulary((each.text for each in train), data.min_words)
        answers = AnswerVocabulary.build((each.answer for each in train), data.min_answers)
        words.save(self.folder / WORDS)
        answers.save(self.folder / ANSWERS)
        with atomic_write(self.folder / IMAGES, "t") as file:
            regions = self.data.format
            json.dump({"feature_size": regions.size, "boxes": regions.boxes}, file)
        echo(f"vocabulary: {len(words)} words of questions, {len(answers)} answers")
        for part, name, count in (
            ("train", "training questions, which are left out", len(train)),
            ("valid", "validation questions, which are left out", len(self.questions("valid"))),
        ):
            if (others := count - len(self.known(self.questions(part)))) > 0:
                echo(
                    f"note: the answers to {others} of {count} {name}, are not in the vocabulary "
                    f"(data.min_answers = {data.min_answers})"
                )

    def prepare_from(self, other: VisualQuestionAnswering) -> None:
        """Copy the built-in questions, if they are used, vocabularies and region format."""
        if self.data.built_in is not None:
            shutil.copytree(other.folder / "data", self.folder / "data")
        for name in (WORDS, ANSWERS, IMAGES):
            shutil.copyfile(other.folder / name, self.folder / name)

    @cached_property
    def data(self) -> QuestionData:
        """The questions and images."""
        return QuestionData(self.config, self.folder)

    def questions(self, part: str) -> list[Question]:
        """Return the ``train``, ``valid`` or ``test`` questions; the last is by default ``valid``.

        Raises:
            DataError: for invalid questions.
        """
        return self.data.questions(part)

    def read(
        self, sources: Sequence[Path | BinaryIO], *, needs_answers: bool = True
    ) -> list[Question]:
        """Read questions, see :func:`~pyro_align.data.read_questions`.

        Raises:
            DataError: for invalid questions.
        """
        return read_questions(sources, needs_answers=needs_answers)

    def known(self, questions: Iterable[Question]) -> list[Question]:
        """Return the questions whose answer is in the vocabulary."""
        answers = self.vocabularies[1]
        return [each for each in questions if each.answers and each.answer in answers]

    def _some_known(self, questions: Sequence[Question]) -> list[Question]:
        """Return the questions whose answer is in the vocabulary; raise an error if none is."""
        known = self.known(questions)
        if not known:
            place = questions[0].place if questions else ""
            raise DataError(
                f"{place or 'questions'}: neither this nor any other of the {len(questions)} "
                f"questions has an answer that is a training answer: give others, or fit a run to "
                f"these"
            )
        return known

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return number of questions, digest and files of training and validation questions."""
        return {
            part: {
                "pairs": len(self.questions(part)),
                "sha256": self.data.fingerprint(part),
                "files": [path.name for path in self.files(part)],
            }
            for part in ("train", "valid")
        }

    def files(self, part: str) -> list[Path]:
        """Return the files of questions."""
        return self.data.files(part)

    def digests(self) -> dict[str, str]:
        """Return digests of the vocabularies and the region format."""
        words, answers = self.vocabularies
        size, boxes = self.region_format
        return {
            WORDS: words.fingerprint(),
            ANSWERS: answers.fingerprint(),
            IMAGES: str(size) if boxes else f"{size} without boxes",
        }

    @cached_property
    def vocabularies(self) -> tuple[SymbolVocabulary, AnswerVocabulary]:
        """Words of questions, and answers."""
        return (
            SymbolVocabulary.load(self.folder / WORDS),
            AnswerVocabulary.load(self.folder / ANSWERS),
        )

    @cached_property
    def region_format(self) -> RegionFormat:
        """What the network reads of a region."""
        path = self.folder / IMAGES
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return RegionFormat(int(found["feature_size"]), bool(found.get("boxes", True)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: damaged ({error}); copy the run again") from None

    def network(self) -> QuestionAnswering:
        """Build the network."""
        words, answers = self.vocabularies
        return QuestionAnswering.from_config(
            self.config.network, len(words), len(answers), self.region_format.size
        )

    def examples(self, part: str) -> QuestionExamples:
        """Return the questions whose answer is in the vocabulary, with their images.

        Raises:
            DataError: for invalid data, or if no answer is in the vocabulary.
        """
        return self.encoded(self._some_known(self.questions(part)), self.data.images(part))

    def encoded(self, questions: Sequence[Question], images: Images) -> QuestionExamples:
        """Return questions as examples.

        Raises:
            DataError: if there is no image, a gold region does not exist, or regions have another
                number of features than those of the training questions, or boxes unlike those.
        """
        return self.data.examples(questions, images, *self.vocabularies, self.region_format)

    def _encoded(
        self, questions: Sequence[Question], images: Sequence[Path] | None
    ) -> QuestionExamples:
        found = self.data.images("test") if images is None else self.data.open(images)
        return self.encoded(questions, found)

    def check_test(self) -> None:
        """Check the test questions."""
        questions = self.questions("test")
        self._some_known(questions)
        self._encoded(questions, None)

    def test_size(self) -> int:
        """Return the number of test questions."""
        return len(self.questions("test"))

    def test_pairs(self, most: int | None = None) -> list[Question]:
        """Return the first test questions, to pass to :meth:`posterior` or :meth:`predict`.

        Args:
            most: maximum number of questions; None for all.
        """
        return self.questions("test")[:most]

    def evaluate(
        self,
        model: Any,
        guide: Any,
        questions: Sequence[Question] | None = None,
        *,
        images: Sequence[Path] | None = None,
        device: torch.device | str = "cpu",
        progress: Callable[[int], None] = lambda done: None,
    ) -> AnswerEvaluation:
        """Evaluate likelihood, posterior, accuracy and calibration.

        Answers outside the vocabulary count as wrong, and are left out of the likelihood.

        Args:
            model: the model, in evaluation mode, on ``device``.
            guide: the guide, likewise.
            questions: questions with answers; None for the run's test questions.
            images: files of their images; None for those of the run.
            device: device to compute on.
            progress: called with the number of questions evaluated so far.

        Raises:
            DataError: for invalid questions or images, or if no answer is in the vocabulary.
        """
        given = self.questions("test") if questions is None else list(questions)
        known = self._some_known(given)
        found = set(map(id, known))
        others = [each for each in given if id(each) not in found]
        result = evaluate_answers(
            model,
            guide,
            self._encoded(known, images),
            self._encoded(others, images) if others else None,
            self.vocabularies[1],
            batch_questions=self.config.training.batch_tokens,
            device=device,
            progress=progress,
        )
        if others:
            result.notes.append(
                f"the answers to {len(others)} of {len(given)} questions are not in the "
                f"vocabulary: they count as wrong, and the likelihood is that of the others"
            )
        if (note := self.unknown_note(given)) is not None:
            result.notes.append(note)
        return result

    def unknown_note(self, questions: Iterable[Question]) -> str | None:
        """Return a remark on unknown words of questions; None if there are none."""
        words = self.vocabularies[0]
        unknown = {word for each in questions for word in words.unknown(question_words(each.text))}
        if not unknown:
            return None
        listed = ", ".join(sorted(unknown)[:10]) + (", …" if len(unknown) > 10 else "")
        return f"{len(unknown)} words of questions are unknown: {listed}"

    def predict(
        self, model: Any, inputs: Iterable[Question], **options: Any
    ) -> Iterator[AnswerPrediction]:
        """Predict the answer to each question, in order; see :meth:`predictions`."""
        return self.predictions(model, inputs, **options)

    def predictions(
        self,
        model: Any,
        inputs: Iterable[Question],
        *,
        n_best: int = 1,
        top_k: int | None = None,
        images: Sequence[Path] | None = None,
    ) -> Iterator[AnswerPrediction]:
        """Predict the answer to each question, in order.

        Args:
            model: the model, in evaluation mode.
            inputs: the questions, with or without answers.
            n_best: maximum number of answers to a question.
            top_k: sum over the K most probable regions only; None for all.
            images: files of their images; None for those of the run.

        Raises:
            DataError: for invalid images.
        """
        questions = _checked(inputs)
        answers = self.vocabularies[1].answers
        # Gold regions are not needed, so they are not checked.
        bare = [replace(each, regions=frozenset()) for each in questions]
        for batch in self._batches(model, bare, images):
            own = [questions[index] for index in batch.indices.tolist()]
            yield from predict_answers(model, batch, own, answers, n_best, top_k)

    def posterior(
        self,
        model: Any,
        guide: Any,
        questions: Sequence[Question],
        *,
        n_best: int = 5,
        images: Sequence[Path] | None = None,
        pictures: Path | str | None = None,
        title: str | None = None,
    ) -> AnswerPosterior:
        """Compute prior, guide and exact posterior of the region of each question.

        Guide and posterior are given the correct answer, or the best one if that is not known.

        Args:
            model: the model, in evaluation mode.
            guide: the guide, likewise.
            questions: the questions.
            n_best: number of most probable answers to return.
            images: files of their images; None for those of the run.
            pictures: folder of pictures of the images, to be displayed if the images are features
                of regions; an image without a picture is displayed as the boxes of its regions.
            title: title of the result; None for the names of model, guide and folder.

        Raises:
            DataError: for invalid images.
        """
        questions = _checked(questions)
        answers = self.vocabularies[1].answers
        displayed = self.displayed(images, pictures)
        found: list[QuestionPosterior] = []
        for batch in self._batches(model, questions, images):
            own = [questions[index] for index in batch.indices.tolist()]
            seen = [displayed[question.image] for question in own]
            found += posterior_of_answers(model, guide, batch, own, answers, seen, most=n_best)
        return AnswerPosterior(found, self.title() if title is None else title)

    def displayed(
        self, images: Sequence[Path] | None = None, pictures: Path | str | None = None
    ) -> DisplayedImages:
        """Return what is displayed of images, see :meth:`posterior`.

        Raises:
            UserError: if there is no such folder of pictures, or the images are pixels already.
        """
        if pictures is not None and self.data.reads_pixels:
            raise UserError(
                f"{pictures}: pictures have no effect, because this run reads pixels: they are "
                f"displayed"
            )
        return DisplayedImages(
            self.data.images("test") if images is None else self.data.open(images),
            self.config.network.cells,
            scenes=self.data.scenes if images is None else None,
            pictures=None if pictures is None else ImageFolder(Path(pictures)),
        )

    def _batches(
        self, model: Any, questions: Sequence[Question], images: Sequence[Path] | None
    ) -> Iterator[QuestionBatch]:
        """Yield the questions in order, on the device of the model."""
        examples = self._encoded(questions, images)
        size = self.config.training.batch_tokens
        device = next(model.parameters()).device
        for start in range(0, len(questions), size):
            stop = min(start + size, len(questions))
            yield examples.batch(range(start, stop)).to(device)

    def title(self) -> str:
        """Return the names of model, guide and folder."""
        config = self.config
        return f"{config.model.name} with {config.guide.name} ({self.folder.name})"

    def described(self) -> list[tuple[str, str]]:
        """Return sizes of the network and vocabularies."""
        network = self.config.network
        words, answers = self.vocabularies
        layers = "layer" if network.question_layers == 1 else "layers"
        regions = f"{self.region_format.size} features of regions"
        if not self.region_format.boxes:
            regions += " without boxes"
        if network.regions == "pixels":
            regions = f"pixels, a grid of {network.cells} cells"
        return [
            (
                "questions",
                f"{network.question_layers} {layers} of {network.question.upper()}, "
                f"{network.hidden}",
            ),
            ("images", regions),
            ("attention", network.attention),
            ("vocabularies", f"{len(words)} words and {len(answers)} answers"),
        ]

    def next_steps(self) -> list[str]:
        """Return commands that predict, evaluate and diagnose."""
        name = shlex.quote(str(self.folder))
        paths = shlex.join(map(str, self.files("test")))
        return [
            f"pyro-align predict {name} {paths}",
            f"pyro-align evaluate {name} --json",
            f"pyro-align diagnose {name}",
        ]


def _checked(questions: Iterable[Question]) -> list[Question]:
    reject_string("questions", questions)
    found = list(questions)
    for each in found:
        if not isinstance(each, Question):
            raise UserError(
                f"expected questions, got {each!r}: pass pyro_align.data.Question(image, text), or "
                f"pyro_align.data.read_questions([path], needs_answers=False)"
            )
    return found
