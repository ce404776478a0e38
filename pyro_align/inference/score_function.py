"""The evidence lower bound with sampled alignments and a score-function gradient."""

from __future__ import annotations

from typing import Any

from pyro.distributions.util import scale_and_mask
from pyro.infer import TraceGraph_ELBO
from pyro.infer.tracegraph_elbo import _construct_baseline
from pyro.infer.util import MultiFrameTensor
from pyro.ops.provenance import detach_provenance, get_provenance
from torch import Tensor
from torch.distributions import kl_divergence

from pyro_align.errors import ConfigError, nearest
from pyro_align.inference.baselines import Baseline, SoftAttentionBaseline
from pyro_align.inference.objective import Objective, Terms

BASELINES: dict[str, type[Baseline] | None] = {
    "none": None,
    "soft-attention": SoftAttentionBaseline,
}
"""Baselines by the name they have in a configuration."""


class ScoreFunctionELBO(Objective, TraceGraph_ELBO):
    """``E_q[log p(y | z)] − KL(q ‖ p)`` with ``z`` sampled and the KL divergence in closed form.

    The gradient for the guide is ``(log p(y | z) − baseline) ∇ log q(z) − ∇ KL(q ‖ p)``
    (Deng et al. 2018, section 4.1). Stock ``TraceGraph_ELBO`` samples the KL divergence as well
    and has no ``differentiable_loss``.

    Args:
        baseline: a key of :data:`BASELINES`.
        samples: alignments drawn for every target position; the estimate is their mean.
    """

    pairs = frozenset({("categorical", "categorical")})

    def __init__(self, *, baseline: str = "soft-attention", samples: int = 1):
        if baseline not in BASELINES:
            raise ConfigError(f"no baseline {baseline!r}; {nearest(baseline, BASELINES)}")
        super().__init__(num_particles=samples, vectorize_particles=samples > 1)
        self.baseline = BASELINES[baseline]

    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Estimates from ``samples`` alignments a position."""
        handled = guide if self.baseline is None else self.baseline(model, guide)
        ((model_trace, guide_trace),) = self._get_traces(model, handled, args, kwargs)
        site = guide_trace.nodes["alignment"]
        prior = model_trace.nodes["alignment"]
        divergence = kl_divergence(site["fn"], prior["fn"])
        kl = scale_and_mask(divergence, site["scale"], site["mask"]).sum()

        log_likelihood: Any = 0.0
        cost = MultiFrameTensor()
        for observed in model_trace.nodes.values():
            if observed["type"] == "sample" and observed["is_observed"]:
                log_likelihood = log_likelihood + observed["log_prob"].sum()
                if "alignment" in get_provenance(observed["log_prob"]):
                    cost.add((observed["cond_indep_stack"], observed["log_prob"].detach()))
        score = self._score(site, cost.sum_to(site["cond_indep_stack"]))

        scale = 1.0 / self.num_particles
        log_likelihood = detach_provenance(log_likelihood) * scale
        kl = detach_provenance(kl) * scale
        bound = log_likelihood - self.kl_weight * kl
        # The score has the gradient of the expectation but no value of its own.
        score = detach_provenance(score) * scale
        loss = score.detach() - score - bound
        return Terms(loss, log_likelihood.detach(), kl.detach())

    @staticmethod
    def _score(site: Any, cost: Tensor) -> Tensor:
        """Sum of ``(cost − baseline) log q(z)``, less the baseline's own regression loss."""
        used, regression, baseline = _construct_baseline("alignment", site, cost)
        advantage = (cost - baseline if used else cost).detach()
        score: Tensor = (site["score_parts"].score_function * advantage).sum() - regression
        return score
