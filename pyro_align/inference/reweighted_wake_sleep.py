"""Reweighted wake-sleep."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.constraints import Count
from pyro_align.data.batch import Batch
from pyro_align.inference.chains import chain_of
from pyro_align.inference.enumeration import enumerated_log_probs, enumerated_trace
from pyro_align.inference.importance import Draws, ImportanceObjective
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.objective import Reference


class ReweightedWakeSleep(ImportanceObjective):
    """Wake-phase updates of model and guide from K importance-weighted samples.

    With ``z_k ~ q`` and self-normalised weights ``v_k = w_k / Σ_j w_j`` per target position
    (Bornschein & Bengio 2015, equations 9 and 12; Ba et al. 2015 for attention):

    - wake-phase update of the model: ``Σ_k v_k ∇ log p(y, z_k)``, an estimate of the gradient of
      the log evidence;
    - wake-phase update of the guide: ``Σ_k v_k ∇ log q(z_k)``, an estimate of the gradient of
      ``−KL(p(z | x, y) ‖ q)``, the *inclusive* divergence from the exact posterior.

    Both are biased for finite K and exact in the limit. The value of the loss is the negative
    importance-weighted bound, which is not the function that the guide's update descends. A
    parameter that model and guide share receives both updates, and so does the attention if the
    guide is the prior.

    The objective contains no KL divergence from the prior: ``kl_weight`` must be 1. Other latent
    sites than the alignment are an error.

    Args:
        samples: K, the number of alignments sampled per target position; at least 2.
    """

    weighs_kl = False
    # The guide's update is not the gradient of a bound, so that it cannot train another site.
    other_sites = "none"

    def __init__(self, *, samples: Count = 5):
        super().__init__(samples, least=2)

    def _surrogate(self, draws: Draws) -> Tensor:
        """Return ``Σ_k v_k (log p(y, z_k) + log q(z_k))`` with the weights detached."""
        weights = draws.log_weight.detach().softmax(0)
        return (weights * (draws.log_emission + draws.log_prior + draws.log_guide)).sum(0)

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The limit of infinitely many samples."""
        return Reference("wake phase", wake_phase)


def wake_phase(model: Any, guide: Any, batch: Batch) -> Float[Tensor, ""]:
    """Compute ``−Σ_t Σ_s p(s | y) (log p(y, s) + log q(s))`` with the exact posterior held fixed.

    Its gradient is the limit of the reweighted wake-sleep gradient for infinitely many samples. Of
    paths the sum is over all paths, and the value lacks the constant entropy of the posterior.
    """
    batch = batch.sharing()
    model_trace, guide_trace = (enumerated_trace(each, batch) for each in (model, guide))
    prior, q = (chain_of(each.nodes["alignment"]) for each in (model_trace, guide_trace))
    if prior is not None and q is not None:
        emission = enumerated_log_probs(model_trace, "tokens", batch).unsqueeze(1)
        with torch.no_grad():
            posterior = prior.posterior(emission)
        divergence = posterior.divergences(prior) + posterior.divergences(q)
        return divergence.sum() - (posterior.marginals * emission).sum()
    log_prior, log_emission = (
        enumerated_log_probs(model_trace, site, batch) for site in ("alignment", "tokens")
    )
    log_joint = log_prior + log_emission
    log_guide = enumerated_log_probs(guide_trace, "alignment", batch)
    # Log probabilities are zero on padded target positions.
    return -(log_joint.detach().softmax(-1) * (log_joint + log_guide)).sum()
