"""The prior as the guide: hard attention."""

from __future__ import annotations

import pyro
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.inference.plates import alignment_plates


class PriorGuide(AlignmentGuide):
    """``q(z | x, y) = p(z | x, y_<t)``, with which the ELBO is the Jensen bound (Xu et al. 2015).

    It has no parameters; the gradient for ``q`` trains the model's attention.
    """

    latents = {"alignment": "categorical"}

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``alignment``."""
        prior = self.model.prior(self.model.states(batch))
        with alignment_plates(batch):
            return pyro.sample("alignment", prior)
