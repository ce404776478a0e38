"""The guide for models without a latent variable or with a marginalised one."""

from __future__ import annotations

from typing import Any

from pyro_align.data.batch import Batch
from pyro_align.guides.alignment_guide import AlignmentGuide


class NoGuide(AlignmentGuide):
    """A guide without sites, for models whose alignment is absent or summed out."""

    latents = {}

    def posterior(self, batch: Batch) -> dict[str, Any]:
        """Return no distributions."""
        return {}
