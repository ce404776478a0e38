"""What is displayed of an image: its regions, and a small picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image

from pyro_align.data import Regions
from pyro_align.errors import UserError
from pyro_align.nn import cell_boxes

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

LONGEST = 320
"""Maximum width and height of a picture, in pixels."""

_QUALITY = 80


@dataclass(frozen=True)
class Picture:
    """A small picture, encoded as PNG or JPEG.

    Attributes:
        data: content of the file.
        format: ``png`` or ``jpeg``.
    """

    data: bytes
    format: str

    @classmethod
    def of(cls, image: PillowImage) -> Picture:
        """Encode an image.

        The image is reduced to at most :data:`LONGEST` pixels of width and height, and encoded as
        PNG (lossless) or JPEG, whichever is smaller: at most about 60 KiB.
        """
        small = image.convert("RGB")
        small.thumbnail((LONGEST, LONGEST))
        return min(
            (cls(_encoded(small, form), form) for form in ("png", "jpeg")),
            key=lambda picture: len(picture.data),
        )

    @property
    def url(self) -> str:
        """The picture as a ``data:`` URL."""
        return f"data:image/{self.format};base64,{base64.b64encode(self.data).decode()}"

    def pixels(self) -> Float[ndarray, "height width 3"]:
        """Return red, green and blue of each pixel, from 0 to 1."""
        with Image.open(io.BytesIO(self.data)) as image:
            return np.asarray(image.convert("RGB"), dtype=np.float32) / 255


@dataclass(frozen=True, eq=False)
class RegionImage:
    """The regions of an image, which alignments refer to by number.

    Attributes:
        boxes: left, top, right and bottom edge of each region, as fractions of the width and
            height of the image.
        names: name of each region, for display.
        width: width of the image.
        height: height of the image, in the same unit.
        picture: picture of the whole image; None if there is none.

    Raises:
        UserError: if the numbers of boxes and names differ, there are none, or a box is outside
            the image.
    """

    boxes: Float[ndarray, "region 4"]
    names: tuple[str, ...]
    width: float = 1
    height: float = 1
    picture: Picture | None = None

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.names), 4) or not self.names:
            raise UserError(
                f"boxes of shape {self.boxes.shape} and {len(self.names)} names of regions: there "
                f"must be a box of four edges and a name for each region, and at least one region"
            )
        start, end = self.boxes[:, :2], self.boxes[:, 2:]
        # Written so that a NaN is an error too.
        if not ((start >= 0) & (start <= end) & (end <= 1)).all():
            raise UserError("edges of boxes must be fractions of the width and height of the image")

    @classmethod
    def of(
        cls,
        regions: Regions,
        names: Sequence[str] | None = None,
        picture: PillowImage | None = None,
    ) -> RegionImage:
        """Return regions that were read from a file.

        Args:
            regions: the regions; without boxes, they are placed side by side, without a picture.
            names: name of each region; None for their numbers, from 0.
            picture: picture of the whole image, if there is one.
        """
        if names is None:
            names = [f"region {number}" for number in range(len(regions))]
        boxes = regions.relative_boxes
        if boxes is None:
            return cls.without_boxes(names)
        width, height = (regions.width, regions.height) if picture is None else picture.size
        small = None if picture is None else Picture.of(picture)
        return cls(boxes, tuple(names), width, height, small)

    @classmethod
    def grid(cls, picture: PillowImage, rows: int, columns: int) -> RegionImage:
        """Return a picture whose regions are the cells of a grid, row by row."""
        places = product(range(1, rows + 1), range(1, columns + 1))
        names = [f"row {row}, column {column}" for row, column in places]
        boxes = cell_boxes(rows, columns).numpy()
        width, height = picture.size
        return cls(boxes, tuple(names), width, height, Picture.of(picture))

    @classmethod
    def without_boxes(cls, names: Sequence[str]) -> RegionImage:
        """Return regions whose places are not known, side by side in rows."""
        columns = int(np.ceil(np.sqrt(len(names))))
        rows = int(np.ceil(len(names) / columns))
        boxes = cell_boxes(rows, columns).numpy()[: len(names)]
        return cls(boxes, tuple(names), columns, rows)

    def __len__(self) -> int:
        return len(self.names)


def _encoded(image: PillowImage, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, optimize=True, quality=_QUALITY)
    return buffer.getvalue()
