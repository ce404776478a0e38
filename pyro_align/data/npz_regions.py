"""Region features in NumPy's ``.npz`` files."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy import ndarray

from pyro_align.data.regions import RegionFile, Regions
from pyro_align.errors import DataError


@final
class NpzRegions(RegionFile):
    """Region features in a ``.npz`` file, which are kept in memory.

    The arrays are ``images`` (ids of the images), ``offsets`` (the regions of image number ``i``
    are the rows from ``offsets[i]`` to ``offsets[i + 1] - 1`` of the following), ``features``
    ``(regions, size)``, and optionally ``boxes`` ``(regions, 4)`` and ``sizes`` ``(images, 2)``,
    the width and height of each image. Without ``sizes``, boxes are relative to the image.

    Raises:
        DataError: if the file is damaged, an array is missing, or their lengths contradict each
            other.
    """

    def __init__(self, path: Path):
        arrays = read_arrays(path)
        for name in ("images", "offsets", "features"):
            if name not in arrays:
                raise DataError(f"array {name!r} is missing", path)
        for name in ("features", "boxes", "sizes"):
            if name in arrays:
                check_numbers(name, arrays[name], path)
        check_numbers("offsets", arrays["offsets"], path, kinds="iu")
        images = as_strings(arrays["images"])
        self._offsets = arrays["offsets"].astype(np.int64)
        self._features = arrays["features"]
        self._boxes = arrays.get("boxes")
        self._sizes = arrays.get("sizes", np.ones((len(images), 2), np.int64))
        self._check(path, len(images))
        super().__init__(
            path,
            images,
            np.diff(self._offsets),
            self._features.shape[1],
            self._boxes is not None,
        )

    def _check(self, path: Path, images: int) -> None:
        if self._features.ndim != 2:
            raise DataError(
                f"features must be numbers (regions, size), got {self._features.shape}", path
            )
        regions = len(self._features)
        expected: dict[str, tuple[ndarray, tuple[int, ...]]] = {
            "offsets": (self._offsets, (images + 1,)),
            "sizes": (self._sizes, (images, 2)),
        }
        if self._boxes is not None:
            expected["boxes"] = (self._boxes, (regions, 4))
        for name, (array, shape) in expected.items():
            if array.shape != shape:
                raise DataError(
                    f"{images} images with {regions} regions: {name} must have the shape {shape}, "
                    f"got {array.shape}",
                    path,
                )
        if self._offsets[0] != 0 or self._offsets[-1] != regions:
            raise DataError(
                f"offsets must rise from 0 to the number of regions, {regions}, got "
                f"{self._offsets[0]} to {self._offsets[-1]}",
                path,
            )

    def _read(self, number: int, image: str) -> Regions:
        rows = slice(self._offsets[number], self._offsets[number + 1])
        boxes = None if self._boxes is None else self._boxes[rows].astype(np.float32)
        width, height = self._sizes[number]
        return Regions(self._features[rows].astype(np.float32), boxes, int(width), int(height))


def read_arrays(path: Path) -> dict[str, ndarray[Any, Any]]:
    """Read all arrays of a ``.npz`` file.

    Raises:
        DataError: if the file is damaged or has Python objects, which need pickle.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise DataError(
            f"not a complete .npz file, it may end early ({error}): copy it again", path
        ) from error
    except ValueError as error:
        raise DataError(
            f"has Python objects or is damaged ({error}): save arrays of numbers and strings", path
        ) from error


def check_numbers(name: str, array: Any, path: Path, *, kinds: str = "biuf") -> None:
    """Check that an array has numbers.

    Args:
        name: name of the array.
        array: an array or HDF5 dataset.
        path: its file.
        kinds: kinds of numbers that are allowed, as in ``numpy.dtype.kind``.

    Raises:
        DataError: if not.
    """
    if array.dtype.kind not in kinds:
        needed = "real numbers" if "f" in kinds else "integers"
        raise DataError(f"array {name!r} must have {needed}, got {array.dtype}", path)


def as_strings(ids: ndarray[Any, Any]) -> list[str]:
    """Return ids, which may be numbers, strings or bytes, as strings."""
    return [each.decode() if isinstance(each, bytes) else str(each) for each in ids.ravel()]
