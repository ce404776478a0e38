"""Features of image regions, such as those of a detector, read from disk image by image."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from pyro_align.data.lines import check_rereadable
from pyro_align.data.questions import Question
from pyro_align.errors import DataError, reject_string

_SAMPLE = 64
"""Number of images whose features are part of a fingerprint."""

_TOLERANCE = 1e-3
"""How far a box may be outside its image, as a fraction of the image: boxes are rounded."""


@dataclass(frozen=True)
class Regions:
    """The regions of an image.

    Attributes:
        features: float32.
        boxes: left, top, right and bottom of each region, in the units of ``width`` and
            ``height``; float32. None if the file has none.
        width: width of the image in pixels; 1 if boxes are given relative to the image.
        height: height of the image in pixels; 1 if boxes are given relative to the image.
    """

    features: Float[ndarray, "region size"]
    boxes: Float[ndarray, "region 4"] | None
    width: int = 1
    height: int = 1

    @property
    def relative_boxes(self) -> Float[ndarray, "region 4"] | None:
        """The boxes relative to the width and height of the image, from 0 to 1."""
        if self.boxes is None:
            return None
        size = np.array([self.width, self.height] * 2, np.float32)
        return np.clip(self.boxes / size, 0, 1)

    def __len__(self) -> int:
        return len(self.features)


class RegionStore(ABC):
    """Region features of images in files. Only the ids of the images are kept in memory.

    Regions are read when they are asked for. A store can be pickled and used in several threads
    and processes; each process opens the files again.

    Attributes:
        paths: the files.
        feature_size: number of features of a region.
        has_boxes: whether the regions have boxes.
    """

    paths: tuple[Path, ...]
    feature_size: int
    has_boxes: bool

    @abstractmethod
    def __contains__(self, image: object) -> bool:
        """Whether there are features of an image."""

    @abstractmethod
    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of the images."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def count(self, image: str) -> int:
        """Return the number of regions of an image, without reading its features.

        Raises:
            DataError: if there are no features of the image.
        """

    @abstractmethod
    def __getitem__(self, image: str) -> Regions:
        """Read the regions of an image.

        Raises:
            DataError: if there are no features of the image, the file cannot be read or is
                damaged, a feature is not finite, or a box lies outside the image. The message
                names the file and the image.
        """

    def fingerprint(self) -> str:
        """SHA-256 of all image ids, their numbers of regions, and the regions of 64 images.

        It does not depend on the format or names of the files.
        """
        images = sorted(self)
        digest = hashlib.sha256()
        for image in images:
            digest.update(f"{image}\0{self.count(image)}\0".encode())
        step = max(1, len(images) // _SAMPLE)
        for image in images[::step]:
            regions = self[image]
            digest.update(np.ascontiguousarray(regions.features).data)
            if regions.relative_boxes is not None:
                digest.update(np.ascontiguousarray(regions.relative_boxes).data)
        return digest.hexdigest()


def open_regions(paths: Sequence[Path | str]) -> RegionStore:
    """Open files of region features as one store.

    The ending of a file decides its format (see the documentation for their content):

    - ``.h5``, ``.hdf5``: HDF5 with ``image_features``, ``spatial_features`` and ``pos_boxes``;
    - ``.tsv``: the tab-separated output of the bottom-up attention detector;
    - ``.npz``: NumPy arrays.

    Raises:
        DataError: if a file is missing, damaged or not in its format; an image is in two of the
            files; or the numbers of features differ between files, or only some have boxes.
        UserError: if the format needs a package that is not installed.
    """
    reject_string("paths", paths)
    stores = [_open(Path(path)) for path in paths]
    if not stores:
        raise DataError("no files of region features are given")
    return stores[0] if len(stores) == 1 else _SeveralFiles(stores)


def _open(path: Path) -> RegionStore:
    # The formats build on this module, and HDF5 takes a while to import.
    from pyro_align.data import hdf5_regions, npz_regions, tsv_regions

    check_rereadable(path)
    suffix = path.suffix.lower()
    if suffix in (".h5", ".hdf5"):
        return hdf5_regions.Hdf5Regions(path)
    if suffix == ".tsv":
        return tsv_regions.TsvRegions(path)
    if suffix == ".npz":
        return npz_regions.NpzRegions(path)
    raise DataError("region features are .h5, .hdf5, .tsv or .npz files (not compressed)", path)


def number_images(images: Sequence[str], path: Path) -> dict[str, int]:
    """Return the 0-based number of each image.

    Raises:
        DataError: if an image is given twice, or there is none.
    """
    numbers = {image: number for number, image in enumerate(images)}
    if not numbers:
        raise DataError("there are no images", path)
    if len(numbers) < len(images):
        twice = next(each for number, each in enumerate(images) if numbers[each] != number)
        raise DataError(f"image {twice} is in the file twice", path)
    return numbers


class RegionFile(RegionStore):
    """A file of region features; subclasses read one format.

    Args:
        path: the file.
        images: ids of the images.
        counts: number of regions of each image.
        feature_size: number of features of a region.
        has_boxes: whether the regions have boxes.

    Raises:
        DataError: if an image is given twice or has no region, or there is no image.
    """

    def __init__(
        self,
        path: Path,
        images: Sequence[str],
        counts: Sequence[int] | ndarray,
        feature_size: int,
        has_boxes: bool,
    ):
        self.paths = (path,)
        self.feature_size = feature_size
        self.has_boxes = has_boxes
        self._index = number_images(images, path)
        self._counts = np.asarray(counts, np.int64)
        if (self._counts < 1).any():
            raise self._error(images[int(np.argmin(self._counts))], "has no regions")

    def __contains__(self, image: object) -> bool:
        return image in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def count(self, image: str) -> int:
        """Return the number of regions of an image."""
        return int(self._counts[self._number(image)])

    def __getitem__(self, image: str) -> Regions:
        regions = self._read(self._number(image), image)
        if not np.isfinite(regions.features).all():
            row = int(np.argmin(np.isfinite(regions.features).all(1)))
            raise self._error(image, f"has a feature that is not finite, in region {row}")
        if regions.boxes is not None:
            self._check_boxes(regions, image)
        return regions

    @abstractmethod
    def _read(self, number: int, image: str) -> Regions:
        """Read the regions of the image with a 0-based number, without checking the values."""

    def _number(self, image: str) -> int:
        if image not in self._index:
            raise DataError(f"there are no features of image {image}", self.paths[0])
        return self._index[image]

    def _error(self, image: str, message: str) -> DataError:
        return DataError(f"image {image} {message}", self.paths[0])

    def _check_boxes(self, regions: Regions, image: str) -> None:
        assert regions.boxes is not None
        size = np.array([regions.width, regions.height], np.float32)
        start, end = regions.boxes[:, :2] / size, regions.boxes[:, 2:] / size
        # Written so that a NaN is an error too.
        inside = (start >= -_TOLERANCE) & (start <= end) & (end <= 1 + _TOLERANCE)
        if not inside.all():
            row = int(np.argmin(inside.all(1)))
            box = ", ".join(f"{value:g}" for value in regions.boxes[row])
            raise self._error(
                image,
                f"has a box outside it, in region {row}: left, top, right, bottom are {box}, but "
                f"the image is {regions.width} wide and {regions.height} high",
            )


@final
class _SeveralFiles(RegionStore):
    def __init__(self, stores: Sequence[RegionStore]):
        self.paths = tuple(path for store in stores for path in store.paths)
        self.feature_size = stores[0].feature_size
        self.has_boxes = stores[0].has_boxes
        self._stores = stores
        self._store_of: dict[str, int] = {}
        for number, store in enumerate(stores):
            if store.feature_size != self.feature_size:
                raise DataError(
                    f"regions have {store.feature_size} features, but {self.feature_size} in "
                    f"{self.paths[0]}",
                    store.paths[0],
                )
            if store.has_boxes != self.has_boxes:
                with_boxes, without = store.paths[0], self.paths[0]
                if self.has_boxes:
                    with_boxes, without = without, with_boxes
                raise DataError(
                    f"regions have no boxes, but those in {with_boxes} have: give files that all "
                    f"have boxes, or none",
                    without,
                )
            for image in store:
                if image in self._store_of:
                    other = stores[self._store_of[image]].paths[0]
                    raise DataError(f"image {image} is in {other} too", store.paths[0])
                self._store_of[image] = number

    def __contains__(self, image: object) -> bool:
        return image in self._store_of

    def __iter__(self) -> Iterator[str]:
        return iter(self._store_of)

    def __len__(self) -> int:
        return len(self._store_of)

    def count(self, image: str) -> int:
        """Return the number of regions of an image."""
        return self._store(image).count(image)

    def __getitem__(self, image: str) -> Regions:
        return self._store(image)[image]

    def _store(self, image: str) -> RegionStore:
        if image not in self._store_of:
            raise DataError(f"{_names(self.paths)}: there are no features of image {image}")
        return self._stores[self._store_of[image]]


def check_regions(questions: Iterable[Question], store: RegionStore) -> None:
    """Check that there are features of the image of each question, and its gold regions.

    Raises:
        DataError: if not; the message names the question and the image.
    """
    for question in questions:
        if question.image not in store:
            raise DataError(
                f"{question.place}: there are no features of image {question.image} in "
                f"{_names(store.paths)}"
            )
        count = store.count(question.image)
        if question.regions and max(question.regions) >= count:
            raise DataError(
                f"{question.place}: region {max(question.regions)} of image {question.image} does "
                f"not exist: it has {count} regions, numbered from 0"
            )


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
