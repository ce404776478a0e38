"""The prior as the guide: hard attention."""

from __future__ import annotations

from typing import Any

from pyro.nn import pyro_method

from pyro_align.data.batch import Batch
from pyro_align.guides.alignment_guide import AlignmentGuide


class PriorGuide(AlignmentGuide):
    """``q(z | x, y) = p(z | x, y_<t)``, with which the ELBO is the Jensen bound (Xu et al. 2015).

    It has no parameters; the gradient for ``q`` trains the model's attention.
    """

    latents = {"alignment": "categorical"}

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, Any]:
        """Return the prior."""
        return {"alignment": self.model.prior(self.model.states(batch))}
