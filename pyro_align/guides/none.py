"""The guide for models without a latent variable or with a marginalised one."""

from __future__ import annotations

from pyro_align.data.batch import Batch
from pyro_align.guides.alignment_guide import AlignmentGuide


class NoGuide(AlignmentGuide):
    """A guide without sites, for models whose alignment is absent or summed out."""

    latents = {}

    def forward(self, batch: Batch) -> None:
        """Sites: none."""
