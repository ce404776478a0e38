"""Region features in the tab-separated files of the bottom-up attention detector."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import final

import numpy as np

from pyro_align.data.npz_regions import as_strings, read_arrays
from pyro_align.data.regions import RegionFile, Regions
from pyro_align.errors import DataError
from pyro_align.files import atomic_write, cache_folder

_COLUMNS = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")


@final
class TsvRegions(RegionFile):
    """Region features as tab-separated text, as written by Anderson et al. 2018.

    A line has the columns ``image_id``, ``image_w``, ``image_h``, ``num_boxes``, ``boxes`` and
    ``features``. The last two are float32 in base64, ``(num_boxes, 4)`` in pixels and
    ``(num_boxes, size)``. There is no line with the names of the columns.

    The file is read once to find where each line starts. This index is kept in the cache folder
    (``$PYRO_ALIGN_CACHE``, or ``~/.cache/pyro-align``) and is used as long as path, size and time
    of the file are the same.

    Raises:
        DataError: if the file ends early, a line is not in this format, the numbers of boxes and
            features of a line disagree, or two lines are about one image.
    """

    def __init__(self, path: Path):
        self._table = _index(path)
        super().__init__(
            path,
            as_strings(self._table["images"]),
            self._table["counts"],
            int(self._table["feature_size"]),
            has_boxes=True,
        )

    def _read(self, number: int, image: str) -> Regions:
        path = self.paths[0]
        start, end = (int(offset) for offset in self._table["offsets"][number : number + 2])
        with path.open("rb") as file:
            line = os.pread(file.fileno(), end - start, start)
        cells = line.rstrip(b"\r\n").split(b"\t")
        if len(cells) != len(_COLUMNS) or cells[0].decode() != image:
            raise self._error(image, "is no longer where it was: the file has changed")
        try:
            boxes, features = (
                np.frombuffer(base64.b64decode(cell, validate=True), "<f4") for cell in cells[4:]
            )
        except (binascii.Error, ValueError) as error:
            raise self._error(image, f"has a column that is not base64 ({error})") from None
        shape = (self.count(image), -1)
        return Regions(features.reshape(shape), boxes.reshape(shape), int(cells[1]), int(cells[2]))


def _index(path: Path) -> dict[str, np.ndarray]:
    """Read the index of a file from the cache, or make it."""
    status = path.stat()
    key = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    cached = cache_folder() / "regions" / f"{name}.npz"
    if not cached.exists():
        images, counts, ends, sizes = (
            zip(*_lines(path), strict=True) if status.st_size else [()] * 4
        )
        if not images:
            raise DataError("the file is empty", path)
        cached.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(cached) as file:
            np.savez(
                file,
                images=np.array(images),
                counts=np.array(counts),
                offsets=np.array([0, *ends]),
                feature_size=np.array(sizes[0]),
            )
    return read_arrays(cached)


def _lines(path: Path) -> Iterator[tuple[str, int, int, int]]:
    """Image, number of regions, end and number of features of each line."""
    end = first = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            end += len(line)
            image, count, size = _parse(line, path, number)
            first = first or size
            if size != first:
                raise DataError(
                    f"image {image} has {size} features for each region, the images before it "
                    f"{first}",
                    path,
                    number,
                )
            yield image, count, end, size


def _parse(line: bytes, path: Path, number: int) -> tuple[str, int, int]:
    """Image, number of regions and number of features of a line."""
    cells = line.rstrip(b"\r\n").split(b"\t")
    image = cells[0][:40].decode(errors="replace")
    if len(cells) != len(_COLUMNS):
        early = "" if line.endswith(b"\n") else "; the file ends early: copy it again"
        raise DataError(
            f"image {image}: expected the columns {', '.join(_COLUMNS)} separated by tabs, got "
            f"{len(cells)}{early}",
            path,
            number,
        )
    for name, cell in zip(_COLUMNS[1:4], cells[1:4], strict=True):
        if not cell.isdigit() or int(cell) < 1:
            raise DataError(
                f"image {image}: {name} must be a positive number, got "
                f"{cell[:40].decode(errors='replace')!r}",
                path,
                number,
            )
    count = int(cells[3])
    boxes, features = (_decoded_size(cell) for cell in cells[4:])
    if boxes != 16 * count:
        raise DataError(
            f"image {image}: num_boxes is {count}, but the boxes have {boxes} bytes instead of "
            f"{16 * count}",
            path,
            number,
        )
    if not features or features % (4 * count):
        early = "" if line.endswith(b"\n") else ": the file ends early, copy it again"
        raise DataError(
            f"image {image}: the features have {features} bytes, which is not a multiple of "
            f"{count} regions of float32{early}",
            path,
            number,
        )
    return cells[0].decode(), count, features // (4 * count)


def _decoded_size(cell: bytes) -> int:
    """Number of bytes that are encoded in base64."""
    return len(cell) * 3 // 4 - cell.count(b"=", -2)
