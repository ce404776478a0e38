"""The guide of a model whose latent variable is absent or marginalised out."""

from __future__ import annotations

from pyro_align.batch import Batch
from pyro_align.guides.alignment_guide import AlignmentGuide


class NoGuide(AlignmentGuide):
    """A program without sites: nothing is left to infer."""

    latent = "none"

    def forward(self, batch: Batch) -> None:
        """Sites: none."""
