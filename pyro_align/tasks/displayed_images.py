"""What is displayed of the images of a run: regions, their names, pictures."""

from __future__ import annotations

from functools import cached_property
from math import isqrt
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from pyro_align.data import ImageFolder
from pyro_align.data.demo.scene_pictures import draw_scene
from pyro_align.data.demo.scenes import SceneObject, read_scenes
from pyro_align.posterior import RegionImage
from pyro_align.tasks.question_data import Images


class DisplayedImages:
    """Regions of images, with pictures if there are any; each image is read once.

    Pixels are their own pictures. The built-in scenes are drawn from their attributes, which are
    also the names of the regions. Pictures of other images are looked up in a folder.

    Args:
        images: features of regions, or a folder of pixels.
        cells: number of grid cells of an image of pixels.
        scenes: file of the built-in scenes, if the features are theirs.
        pictures: folder of pictures, if the images have features.
    """

    def __init__(
        self,
        images: Images,
        cells: int,
        *,
        scenes: Path | None = None,
        pictures: ImageFolder | None = None,
    ):
        self.images = images
        self.cells = cells
        self.scenes_path = scenes
        self.pictures = pictures
        self._read: dict[str, RegionImage] = {}

    def __getitem__(self, image: str) -> RegionImage:
        """Return an image.

        Raises:
            DataError: if there is no such image, or it cannot be read.
        """
        if image not in self._read:
            self._read[image] = self._displayed(image)
        return self._read[image]

    @cached_property
    def scenes(self) -> dict[str, tuple[SceneObject, ...]]:
        """The built-in scenes by the id of their image."""
        return {} if self.scenes_path is None else read_scenes(self.scenes_path)

    def _displayed(self, image: str) -> RegionImage:
        if isinstance(self.images, ImageFolder):
            side = isqrt(self.cells)
            # Not the pixels that the network reads, which are resized.
            return RegionImage.grid(_as_picture(ImageFolder(self.images.root)[image]), side, side)
        regions = self.images[image]
        if image in self.scenes:
            objects = self.scenes[image]
            names = [f"{each.size} {each.colour} {each.shape}" for each in objects]
            return RegionImage.of(regions, names, draw_scene(objects))
        if self.pictures is not None and image in self.pictures:
            return RegionImage.of(regions, picture=_as_picture(self.pictures[image]))
        return RegionImage.of(regions)


def _as_picture(pixels: Tensor) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
