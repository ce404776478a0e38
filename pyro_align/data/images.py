"""A folder of images, decoded when they are asked for."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from pyro_align.data.questions import Question
from pyro_align.errors import DataError

_ENDINGS = ("", ".png", ".jpg", ".jpeg")
_COCO = re.compile(r"(?:COCO_[a-z0-9]+_)?(\d+)\.(?:jpg|jpeg|png)")
_SAMPLE = 64
"""Number of images whose content is part of a fingerprint."""
KEPT_BYTES = 512 * 2**20
"""Decoded images are kept in memory up to this size, so that they are not decoded every epoch."""


@final
class ImageFolder:
    """Images in a folder, named by their path in it.

    The ending ``.png``, ``.jpg`` or ``.jpeg`` can be left out. The numeric ids of VQA 2.0 stand for
    file names like ``COCO_val2014_000000000042.jpg``. A path may be absolute, if it is in the
    folder: no other files are opened. Images that are resized are kept in memory once they are
    decoded, up to :data:`KEPT_BYTES`; the others are decoded each time.

    Args:
        root: the folder.
        size: width and height to which images are resized, in pixels; None to keep their size.

    Raises:
        DataError: if the folder is missing, or is a file.
    """

    def __init__(self, root: Path, size: int | None = None):
        if root.is_file():
            raise DataError("this is a file: give the folder of the images", root)
        if not root.is_dir():
            raise DataError("no such folder", root)
        self.root = root
        self.size = size
        self._kept: dict[str, Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}

    def __contains__(self, image: object) -> bool:
        return isinstance(image, str) and self._find(image) is not None

    def __getitem__(self, image: str) -> UInt8[Tensor, "3 height width"]:
        """Return an image: red, green and blue from 0 to 255.

        Transparent images are put on white.

        Raises:
            DataError: if there is no such image, or it cannot be decoded.
        """
        if (kept := self._kept.get(image)) is not None:
            return kept
        pixels = self._decode(image)
        if self.size is not None and (len(self._kept) + 1) * pixels.nbytes <= KEPT_BYTES:
            self._kept[image] = pixels
        return pixels

    def _decode(self, image: str) -> UInt8[Tensor, "3 height width"]:
        path = self.path(image)
        try:
            # Pillow warns of an image with very many pixels before it refuses even more.
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(path) as opened:
                    decoded = _as_rgb(opened)
        except (
            OSError,
            SyntaxError,
            ValueError,
            UnidentifiedImageError,
            Image.DecompressionBombError,
            Image.DecompressionBombWarning,
        ) as error:
            raise DataError(f"image {image} cannot be decoded ({error})", path) from error
        if self.size is not None:
            decoded = decoded.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(decoded)).permute(2, 0, 1).contiguous()

    def path(self, image: str) -> Path:
        """Return the file of an image.

        Raises:
            DataError: if there is none.
        """
        found = self._find(image)
        if found is None:
            raise DataError(f"there is no image {image}", self.root)
        return found

    def fingerprint(self, images: Iterable[str]) -> str:
        """SHA-256 of the names and sizes in bytes of some images, and the content of 64 of them.

        Raises:
            DataError: if an image is missing.
        """
        names = sorted(set(images))
        paths = [self.path(image) for image in names]
        digest = hashlib.sha256()
        for image, path in zip(names, paths, strict=True):
            digest.update(f"{image}\0{path.stat().st_size}\0".encode())
        for path in paths[:: max(1, len(paths) // _SAMPLE)]:
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _find(self, image: str) -> Path | None:
        for ending in _ENDINGS:
            path = self.root / f"{image}{ending}"
            # Without `..`, but links in the folder may point elsewhere.
            written = Path(os.path.normpath(path.absolute()))
            is_within = written.is_relative_to(os.path.normpath(self.root.absolute()))
            if is_within and path.is_file():
                return path
        if image.isascii() and image.isdigit():
            return self._numbered.get(int(image))
        return None

    @cached_property
    def _numbered(self) -> dict[int, Path]:
        """The images whose file name is a number, or ends with one as in MS COCO."""
        names = ((path, _COCO.fullmatch(path.name)) for path in self.root.iterdir())
        return {int(match[1]): path for path, match in names if match}


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def check_images(questions: Iterable[Question], folder: ImageFolder) -> None:
    """Check that there is a file for the image of each question.

    Raises:
        DataError: if not; the message names the question and the image.
    """
    for question in questions:
        if question.image not in folder:
            raise DataError(
                f"{question.place}: there is no image {question.image} in {folder.root}: "
                f"correct it, or give the folder of the images with --images"
            )
