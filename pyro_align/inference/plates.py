"""The plates that all models and guides use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pyro
from pyro import poutine

from pyro_align.data.batch import Batch

MAX_PLATE_NESTING = 2
"""Number of plates: ``sentences`` (dim −2) and ``positions`` (dim −1)."""


def sentence_plate(batch: Batch) -> AbstractContextManager[Any]:
    """Return the plate ``sentences``, in which a site has batch shape ``(sentences, 1)``."""
    plate: AbstractContextManager[Any] = pyro.plate("sentences", len(batch), dim=-2)
    return plate


@contextmanager
def position_plate(batch: Batch) -> Iterator[None]:
    """Enter the plate ``positions``, with padding masked out.

    Within it and :func:`sentence_plate` a site has batch shape ``(sentences, positions)``.
    """
    with (
        pyro.plate("positions", batch.target.shape[1], dim=-1),
        poutine.mask(mask=batch.target_mask),
    ):
        yield


@contextmanager
def alignment_plates(batch: Batch) -> Iterator[None]:
    """Enter the plates ``sentences`` and ``positions``, with padding masked out.

    Within it a site has batch shape ``(sentences, positions)``. A program enters each plate once:
    one that also samples sites of a whole sentence nests :func:`position_plate` in
    :func:`sentence_plate` instead.
    """
    with sentence_plate(batch), position_plate(batch):
        yield
