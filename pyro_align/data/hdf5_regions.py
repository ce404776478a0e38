"""Region features in HDF5 files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy import ndarray

from pyro_align.data.npz_regions import as_strings, check_numbers, read_arrays
from pyro_align.data.regions import RegionFile, Regions, number_images
from pyro_align.errors import DataError, UserError


@final
class Hdf5Regions(RegionFile):
    """Region features in an HDF5 file, as the field converts those of bottom-up attention.

    The datasets are ``image_features`` ``(regions, size)``; ``pos_boxes`` ``(images, 2)``, first
    row and last row + 1 of each image; and optionally ``spatial_features`` ``(regions, 4 or
    more)``, whose first four columns are left, top, right and bottom relative to the image. With
    the same number of regions for all images, ``image_features`` may be ``(images, regions,
    size)``, ``spatial_features`` likewise, and ``pos_boxes`` is not needed.

    The ids of the images are a dataset ``image_ids``, or are in a file beside it. For
    ``train.hdf5``, this is ``train_imgid2idx.json`` or ``train.json``, a list of ids in the order
    of the images or an object from ids to 0-based numbers; or ``train.npz`` with the array
    ``image_ids``.

    Raises:
        DataError: if the file ends early or is damaged, a dataset or the ids are missing, or the
            numbers of regions or images contradict each other.
        UserError: if h5py is not installed.
    """

    def __init__(self, path: Path):
        self._opened: tuple[int, Any] | None = None
        self._path = path
        file = self._file()
        features, positions = self._datasets(file)
        images, self._rows = self._ids(file, positions)
        super().__init__(
            path,
            images,
            self._rows[:, 1] - self._rows[:, 0],
            features.shape[-1],
            "spatial_features" in file,
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def _file(self) -> Any:
        """The open file of this process: HDF5 files must not be shared with child processes."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), _opened(self._path))
        return self._opened[1]

    def _datasets(self, file: Any) -> tuple[Any, ndarray[Any, Any]]:
        """The features and the rows of each image."""
        if "image_features" not in file:
            raise DataError(
                f"dataset 'image_features' is missing; present: {', '.join(file) or 'none'}",
                self._path,
            )
        for name in ("image_features", "spatial_features"):
            if name in file:
                check_numbers(name, file[name], self._path)
        if "pos_boxes" in file:
            check_numbers("pos_boxes", file["pos_boxes"], self._path, kinds="iu")
        features = file["image_features"]
        leading = features.shape[:-1]
        if len(leading) not in (1, 2) or not features.size:
            raise DataError(
                "image_features must be (regions, size) or (images, regions, size), got "
                f"{features.shape}",
                self._path,
            )
        if "spatial_features" in file:
            spatial = file["spatial_features"].shape
            if spatial[:-1] != leading or spatial[-1] < 4:
                raise DataError(
                    f"image_features is {features.shape}, but spatial_features {spatial}: they "
                    "must have the same regions, and at least 4 columns for the box",
                    self._path,
                )
        if len(leading) == 2:
            starts = np.arange(leading[0]) * leading[1]
            positions = np.stack([starts, starts + leading[1]], axis=1)
            if "pos_boxes" in file and not np.array_equal(file["pos_boxes"], positions):
                raise DataError(
                    f"pos_boxes contradicts image_features, which has {leading[1]} regions for "
                    "each image",
                    self._path,
                )
            return features, positions
        if "pos_boxes" not in file:
            raise DataError(
                "dataset 'pos_boxes' is missing: it says which rows of image_features belong to "
                "which image",
                self._path,
            )
        return features, np.asarray(file["pos_boxes"][()], np.int64)

    def _ids(self, file: Any, positions: ndarray[Any, Any]) -> tuple[list[str], ndarray[Any, Any]]:
        """The ids of the images, and the rows of each."""
        place, numbers = _numbers(file, self._path)
        if positions.ndim != 2 or positions.shape[1] != 2:
            raise DataError(f"pos_boxes must be (images, 2), got {positions.shape}", self._path)
        for image, number in numbers.items():
            if not 0 <= number < len(positions):
                raise DataError(
                    f"image {image} is number {number}, but there are features of only "
                    f"{len(positions)} images in {self._path}",
                    place,
                )
        rows = positions[list(numbers.values())]
        total = int(np.prod(file["image_features"].shape[:-1]))
        bad = (rows[:, 0] < 0) | (rows[:, 0] >= rows[:, 1]) | (rows[:, 1] > total)
        if bad.any():
            first = int(np.argmax(bad))
            raise DataError(
                f"image {list(numbers)[first]}: pos_boxes gives the rows from {rows[first, 0]} to "
                f"{rows[first, 1]}, but image_features has {total} rows",
                self._path,
            )
        return list(numbers), rows

    def _read(self, number: int, image: str) -> Regions:
        start, end = (int(row) for row in self._rows[number])
        file = self._file()
        try:
            features = _rows(file["image_features"], start, end)
            boxes = _rows(file["spatial_features"], start, end)[:, :4] if self.has_boxes else None
        except OSError as error:
            raise self._error(image, f"cannot be read ({error}): copy the file again") from error
        return Regions(features, boxes)


def _rows(dataset: Any, start: int, end: int) -> ndarray[Any, Any]:
    """Rows of a dataset, of one image if it has an axis of images."""
    if len(dataset.shape) == 3:
        return np.asarray(dataset[start // dataset.shape[1]], np.float32)
    return np.asarray(dataset[start:end], np.float32)


def _opened(path: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise UserError(f'{path}: HDF5 files need h5py: pip install "pyro-align[vqa]"') from None
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(
            f"not a complete HDF5 file, it may end early ({error}): copy it again", path
        ) from error


def _numbers(file: Any, path: Path) -> tuple[Path, dict[str, int]]:
    """Where the ids of the images are, and the number of each id."""
    if "image_ids" in file:
        return path, number_images(as_strings(file["image_ids"][()]), path)
    beside = [
        path.with_name(f"{path.stem}{ending}") for ending in ("_imgid2idx.json", ".json", ".npz")
    ]
    found = next((each for each in beside if each.exists()), None)
    if found is None:
        pickled = path.with_name(f"{path.stem}_imgid2idx.pkl")
        hint = (
            f". {pickled.name} is not read, because unpickling can run any code; if you trust it: "
            "python -c \"import json, pickle; json.dump(pickle.load(open('"
            f"{pickled}', 'rb')), open('{beside[0]}', 'w'))\""
        ) * pickled.exists()
        names = ", ".join(each.name for each in beside)
        raise DataError(
            f"the ids of the images are missing: give a dataset image_ids, or beside it one of "
            f"{names}{hint}",
            path,
        )
    if found.suffix == ".npz":
        arrays = read_arrays(found)
        if "image_ids" not in arrays:
            raise DataError("array 'image_ids' is missing", found)
        return found, number_images(as_strings(arrays["image_ids"]), found)
    try:
        content = json.loads(found.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({error})", found) from None
    if isinstance(content, list):
        return found, number_images([str(each) for each in content], found)
    if isinstance(content, dict) and all(type(each) is int for each in content.values()):
        return found, content
    raise DataError("expected a list of image ids, or an object from ids to numbers", found)
