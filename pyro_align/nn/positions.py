"""Position embeddings of Transformers."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Rotation = tuple[Float[Tensor, "_ _"], Float[Tensor, "_ _"]]
"""Cosines and sines of the angles of each position, ``(position, feature / 2)``."""

Positions = Literal["sinusoidal", "rotary"]
"""Kinds of position embeddings."""


def sinusoids(positions: Int[Tensor, " position"], size: int) -> Float[Tensor, "position {size}"]:
    """Return sinusoidal position embeddings (Vaswani et al. 2017, section 3.5)."""
    angles = _angles(positions, size)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def rotation(positions: Int[Tensor, " position"], size: int) -> Rotation:
    """Return cosines and sines of rotary position embeddings (Su et al. 2021, section 3.2).

    Args:
        positions: the positions.
        size: features of a head.
    """
    angles = _angles(positions, size)
    return angles.cos(), angles.sin()


def rotated(
    vectors: Float[Tensor, "batch head position feature"], rotation: Rotation
) -> Float[Tensor, "batch head position feature"]:
    """Rotate queries or keys, so that their products depend on the distance of the positions."""
    first, second = vectors.chunk(2, dim=-1)
    cos, sin = (each.to(vectors) for each in rotation)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def _angles(positions: Int[Tensor, " position"], size: int) -> Float[Tensor, "position half"]:
    evens = torch.arange(0, size, 2, device=positions.device)
    return positions.unsqueeze(1) * torch.exp(-math.log(10000.0) * evens / size)
