"""The plates that all models and guides use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyro
from pyro import poutine

from pyro_align.data.batch import Batch

MAX_PLATE_NESTING = 2
"""Number of plates: ``sentences`` (dim −2) and ``positions`` (dim −1)."""


@contextmanager
def alignment_plates(batch: Batch) -> Iterator[None]:
    """Enter the plates ``sentences`` and ``positions``, with padding masked out.

    Within it a site has batch shape ``(sentences, positions)``.
    """
    sentences, positions = batch.target.shape
    with (
        pyro.plate("sentences", sentences, dim=-2),
        pyro.plate("positions", positions, dim=-1),
        poutine.mask(mask=batch.target_mask),
    ):
        yield
