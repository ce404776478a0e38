"""The questions and images of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from pyro_align.config.vqa import AnsweringConfig
from pyro_align.data import (
    AnswerVocabulary,
    ImageExamples,
    ImageFolder,
    Question,
    QuestionExamples,
    RegionExamples,
    RegionStore,
    SymbolVocabulary,
    check_images,
    check_regions,
    open_regions,
    read_questions,
)
from pyro_align.data.demo.scenes import write_scenes
from pyro_align.data.easy_vqa import easy_vqa_images, write_easy_vqa
from pyro_align.errors import DataError, UserError

Images = RegionStore | ImageFolder
"""Features of regions, or pixels."""


class RegionFormat(NamedTuple):
    """What a network reads of each region.

    Attributes:
        size: number of features; 0 for pixels, whose features the network computes.
        boxes: whether there is a box; true for pixels, whose regions are grid cells.
    """

    size: int
    boxes: bool

    @classmethod
    def of(cls, images: Images) -> RegionFormat:
        """Return the format of some images."""
        if isinstance(images, ImageFolder):
            return cls(0, boxes=True)
        return cls(images.feature_size, images.has_boxes)

    def check(self, store: RegionStore) -> None:
        """Check that region features have this format.

        Raises:
            DataError: naming the files.
        """
        found, names = RegionFormat.of(store), ", ".join(map(str, store.paths))
        if found.size != self.size:
            raise DataError(
                f"{names}: regions have {found.size} features, but those that the run was trained "
                f"on have {self.size}"
            )
        if found.boxes != self.boxes:
            has, trained = ("boxes", "none") if found.boxes else ("no boxes", "boxes")
            raise DataError(
                f"{names}: regions have {has}, but those that the run was trained on have "
                f"{trained}: give features with{'' if self.boxes else 'out'} boxes, or fit a run "
                f"to these"
            )


class QuestionData:
    """Reads the questions and images of a configuration, each part once.

    Args:
        config: the configuration.
        folder: the run folder, with the built-in questions in ``data``.
    """

    def __init__(self, config: AnsweringConfig, folder: Path):
        self.config = config
        self.folder = folder
        self._questions: dict[str, list[Question]] = {}
        self._images: dict[tuple[Path, ...], Images] = {}

    @property
    def built_in(self) -> str | None:
        """Name of the built-in questions; None if others are given."""
        data = self.config.data
        return data.built_in if data.train is None else None

    def write(self) -> None:
        """Write the built-in questions, if they are used, to the run folder.

        Raises:
            UserError: if they need a package that is not installed.
        """
        if self.built_in is not None:
            {"scenes": write_scenes, "easy-vqa": write_easy_vqa}[self.built_in](
                self.folder / "data"
            )

    @property
    def reads_pixels(self) -> bool:
        """Whether images are pixels, not features of regions."""
        return self.config.network.regions == "pixels"

    def questions(self, part: str) -> list[Question]:
        """Return the ``train``, ``valid`` or ``test`` questions; the last is by default ``valid``.

        Raises:
            DataError: for invalid questions.
        """
        if part not in self._questions:
            self._questions[part] = read_questions(self.files(part))
        return self._questions[part]

    def files(self, part: str) -> list[Path]:
        """Return the files of questions."""
        if self.built_in is not None:
            return [self.folder / "data" / f"{part}.jsonl"]
        data = self.config.data
        return list(getattr(data, part) or data.valid or [])

    @property
    def scenes(self) -> Path | None:
        """File of the built-in scenes, if they are used."""
        return self.folder / "data" / "scenes.jsonl" if self.built_in == "scenes" else None

    def images(self, part: str) -> Images:
        """Return the images of a part.

        Raises:
            UserError: if they cannot be read.
        """
        if self.built_in == "scenes":
            return self.open([self.folder / "data" / "regions.npz"])
        if self.built_in == "easy-vqa":
            return easy_vqa_images(self.config.network.image_size)
        if (given := self.config.data.images) is not None:
            for path in given:
                if not path.exists():
                    raise DataError("no such file or folder: give the images with --images", path)
            return self.open(given)
        return self.open(list(dict.fromkeys(path.parent for path in self.files(part))))

    def open(self, paths: Sequence[Path | str]) -> Images:
        """Open files of region features, or for pixels one folder of images.

        Raises:
            UserError: if they cannot be read.
        """
        key = tuple(map(Path, paths))
        if key not in self._images:
            if not self.reads_pixels:
                self._images[key] = open_regions(key)
            elif len(key) == 1:
                self._images[key] = ImageFolder(key[0], self.config.network.image_size)
            else:
                raise UserError(
                    f"{', '.join(map(str, key))}: pixels are read from one folder of images: give "
                    f"it as data.images"
                )
        return self._images[key]

    def fingerprint(self, part: str) -> str:
        """SHA-256 of the questions of a part, and of their images."""
        questions, images = self.questions(part), self.images(part)
        if isinstance(images, ImageFolder):
            check_images(questions, images)
            content = images.fingerprint(each.image for each in questions)
        else:
            content = images.fingerprint()
        digest = hashlib.sha256(content.encode())
        for each in questions:
            fields = each.image, each.text, each.answer, each.answers, sorted(each.regions)
            digest.update(repr(fields).encode())
        return digest.hexdigest()

    @cached_property
    def format(self) -> RegionFormat:
        """Format of the regions of the training images."""
        return RegionFormat.of(self.images("train"))

    def examples(
        self,
        questions: Sequence[Question],
        images: Images,
        words: SymbolVocabulary,
        answers: AnswerVocabulary,
        regions: RegionFormat,
    ) -> QuestionExamples:
        """Return questions as examples.

        Args:
            questions: the questions.
            images: their images.
            words: vocabulary of the questions.
            answers: vocabulary of the answers.
            regions: what the network reads of a region.

        Raises:
            DataError: if there is no image, a gold region does not exist, or regions have another
                number of features, or boxes unlike those that the network reads.
        """
        network = self.config.network
        if isinstance(images, ImageFolder):
            check_images(questions, images)
            _check_cells(questions, network.cells)
            return ImageExamples(questions, words, answers, images, network.cells)
        regions.check(images)
        check_regions(questions, images)
        return RegionExamples(questions, words, answers, images)


def _check_cells(questions: Iterable[Question], cells: int) -> None:
    for each in questions:
        if each.regions and max(each.regions) >= cells:
            raise DataError(
                f"{each.place}: region {max(each.regions)} does not exist: the regions of an image "
                f"are its {cells} grid cells, numbered from 0, row by row"
            )
