"""The true posterior, an oracle."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.batch import Batch
from pyro_align.distributions import mask_logits
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.inference.enumeration import enumerated_log_probs, enumerated_trace
from pyro_align.inference.plates import alignment_plates
from pyro_align.inference.sharing import shared


class ExactGuide(AlignmentGuide):
    """``q(z_t = s | x, y) ∝ p(z_t = s | x, y_<t) p(y_t | z_t = s, x, y_<t)``, by Bayes' rule.

    The model is run with every alignment enumerated, whatever program it is. The ELBO is then the
    log evidence and so is its gradient, although none flows through ``q``: at the optimum of ``q``
    there is none. The guide has no parameters; it is what others are measured against.
    """

    latent = "categorical"

    @shared
    @pyro_method
    def scores(self, batch: Batch) -> Float[Tensor, "batch target source"]:
        """Logits of the posterior, masked where the source is padding; without gradient."""
        # With gradients on, the model's states are those that its own run can share.
        trace = enumerated_trace(self.model, batch)
        log_joint = enumerated_log_probs(trace, "alignment", batch) + enumerated_log_probs(
            trace, "tokens", batch
        )
        return mask_logits(log_joint.detach(), batch.source_mask.unsqueeze(1))

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``alignment``."""
        scores = self.scores(batch)
        with alignment_plates(batch):
            return pyro.sample("alignment", dist.Categorical(logits=scores))
