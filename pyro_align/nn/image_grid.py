"""`ImageGrid`: a small convolutional network whose grid cells are the regions of an image."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ImageGrid(nn.Module):
    """A small residual network (He et al. 2016) with instance normalisation (Ulyanov et al. 2016).

    Each layer halves the image by a convolution with stride 2, and has a residual block of two
    convolutions. An image of ``height`` times ``width`` pixels becomes ``height / 2^layers`` times
    ``width / 2^layers`` cells; with three layers a cell sees 71 pixels in each direction.

    Args:
        channels: number of channels of the last layer, the features of a cell; each layer before
            has half as many, but at least 16.
        layers: number of layers.
    """

    def __init__(self, channels: int, layers: int):
        super().__init__()
        self.channels = channels
        sizes = [3, *(max(16, channels >> (layers - 1 - i)) for i in range(layers - 1)), channels]
        self.layers = nn.Sequential()
        for inputs, outputs in pairwise(sizes):
            self.layers += nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
                nn.InstanceNorm2d(outputs, affine=True),
                nn.ReLU(),
                ResidualBlock(outputs),
            )

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch cell channel"], Float[Tensor, "batch cell 4"]]:
        """Return features and boxes of the cells, row by row.

        Args:
            images: red, green and blue of each pixel, from 0 to 1.
        """
        grid = self.layers(images - 0.5)
        boxes = cell_boxes(*grid.shape[-2:]).to(grid)
        return grid.flatten(2).transpose(1, 2), boxes.expand(len(images), -1, -1)


class ResidualBlock(nn.Module):
    """``relu(x + N(C(relu(N(C(x))))))`` with convolutions ``C`` and normalisation ``N``.

    Args:
        channels: number of channels.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.InstanceNorm2d(channels, affine=True),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(
        self, inputs: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """Compute features of the same shape."""
        return torch.relu(inputs + self.layers(inputs))


def cell_boxes(rows: int, columns: int) -> Float[Tensor, "cell 4"]:
    """Return left, top, right and bottom edge of each cell, as fractions of the image."""
    top = torch.arange(rows, dtype=torch.float64).repeat_interleave(columns) / rows
    left = torch.arange(columns, dtype=torch.float64).repeat(rows) / columns
    return torch.stack([left, top, left + 1 / columns, top + 1 / rows], -1)
