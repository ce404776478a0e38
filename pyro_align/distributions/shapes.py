"""Shapes of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import torch


def broadcast_shapes(*shapes: Sequence[int]) -> torch.Size:
    """Return the shape that shapes broadcast to.

    ``torch.broadcast_shapes`` does the same, but its first call imports sympy, which takes as long
    as translating many sentences.

    Raises:
        ValueError: if the shapes do not broadcast.
    """
    result = []
    for sizes in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        size = next((each for each in sizes if each != 1), 1)
        if any(each not in (1, size) for each in sizes):
            raise ValueError(f"shapes do not broadcast: {', '.join(map(str, map(tuple, shapes)))}")
        result.append(size)
    return torch.Size(result[::-1])
