"""Marginal log likelihood over the K most probable alignments of each position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyro.infer import Trace_ELBO

from pyro_align.constraints import Count
from pyro_align.errors import ConfigError
from pyro_align.inference.enumeration import log_joint, observed_terms
from pyro_align.inference.exact import ExactMarginal
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.objective import Objective, Reference, Terms
from pyro_align.inference.traces import SiteHandler, Traces, is_observed, total


class TopKMarginal(Objective, Trace_ELBO):
    """``Σ_t log Σ_{s ∈ S_t} p(z_t = s) p(y_t | z_t = s)`` with the K most probable positions S_t.

    ``S_t`` are the K source positions of largest prior probability. The prior is not renormalised,
    so that this is a lower bound of the log evidence. Since no token has a probability above 1, the
    evidence of a position exceeds the sum by at most the prior mass outside of ``S_t``. Deng et al.
    (2018) marginalise this way at test time. The emission is computed K times per target position
    instead of once for every source position, which pays off if each evaluation needs a softmax
    over the vocabulary, as the ``tanh`` emission does. With other latent sites ``s`` the bound is
    the expectation of this sum under ``q(s)``, minus ``KL(q(s) ‖ p(s))``.

    Args:
        k: number of alignments per target position that are summed over.
    """

    pairs = frozenset({("categorical", "none")})
    strategy = "marginalisation over the K most probable positions"
    weighs_kl = False

    def __init__(self, *, k: Count = 5):
        if k < 1:
            raise ConfigError(f"k must be 1 or more, got {k}")
        super().__init__()
        self.k = k

    def _handled(self, model: Any, guide: Any) -> tuple[Any, Any]:
        """Set the model's alignment to its K most probable values."""
        return most_probable(model, self.k), guide

    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Compute the bound; it has no KL divergence of the alignment."""
        if is_observed(traces.model_trace):
            return observed_terms(traces)
        joint, rest = log_joint(traces, type(self).__name__)
        bound = total(joint.logsumexp(0), traces.prior) + rest
        return Terms(-bound, bound.detach(), {})

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The log evidence, with all alignments summed out."""
        return Reference("log evidence", ExactMarginal().differentiable_loss)


def most_probable(model: Callable[..., Any], k: int) -> Callable[..., Any]:
    """Set ``alignment`` to its K most probable values, along a dimension left of the plates."""

    def choose(msg: Any) -> None:
        logits = msg["fn"].logits
        best = logits.topk(min(k, logits.shape[-1]), dim=-1).indices
        msg["value"] = best.movedim(-1, 0)
        msg["done"] = True
        # Tells Pyro that the guide does not need this site.
        msg["infer"]["_enumerate_dim"] = -msg["value"].dim()

    handled: Callable[..., Any] = SiteHandler(choose)(model)
    return handled
