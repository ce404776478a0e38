"""The exact posterior as a guide."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.data.sharing import shared
from pyro_align.distributions import mask_logits
from pyro_align.errors import IncompatibleError
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.inference.enumeration import enumerated_log_probs, enumerated_trace
from pyro_align.inference.kinds import SENTENCE_KINDS, alignment_kind
from pyro_align.inference.traces import program_name


class ExactGuide(AlignmentGuide):
    """``q(z_t = s | x, y) ∝ p(z_t = s | x, y_<t) p(y_t | z_t = s, x, y_<t)``, by Bayes' rule.

    Runs the model, which may be any Pyro program, with every alignment enumerated. With this guide
    the ELBO and its gradient equal the log evidence and its gradient; ``q`` is detached, because
    the gradient of the ELBO for ``q`` is zero at the optimum. The guide has no parameters and
    serves as a reference for other guides.

    Raises:
        IncompatibleError: if the alignments of a sentence depend on each other, as in
            :class:`~pyro_align.models.MarkovModel`.
    """

    latents = {"alignment": "categorical"}

    def __init__(self, model: Any):
        super().__init__(model)
        if alignment_kind(getattr(model, "latents", {})) in SENTENCE_KINDS:
            raise IncompatibleError(
                f"ExactGuide computes the posterior of each position by itself, but the alignments "
                f"of {program_name(model)} depend on each other: use MarkovGuide, or ExactMarginal "
                f"with NoGuide"
            )

    @shared
    @pyro_method
    def scores(self, batch: Batch) -> Float[Tensor, "batch target source"]:
        """Compute the logits of the posterior, masked on source padding; without gradient."""
        # Not under no_grad, so that the model's own run can share the states.
        trace = enumerated_trace(self.model, batch)
        log_joint = enumerated_log_probs(trace, "alignment", batch) + enumerated_log_probs(
            trace, "tokens", batch
        )
        return mask_logits(log_joint.detach(), batch.source_mask.unsqueeze(1))

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, dist.Categorical]:
        """Return a Categorical with :meth:`scores` as logits."""
        return {"alignment": dist.Categorical(logits=self.scores(batch))}
