"""Exact marginal log likelihood, by enumeration."""

from __future__ import annotations

from typing import Any

import torch
from pyro.infer import TraceEnum_ELBO, config_enumerate

from pyro_align.inference.chains import divergence, posterior_of, prior_of, staying
from pyro_align.inference.enumeration import joint_of, log_likelihood, observed_terms
from pyro_align.inference.gradients import gradient_alone
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.objective import Reference, Terms
from pyro_align.inference.sentence_free_bits import SentenceFreeBits
from pyro_align.inference.sites import other_latents
from pyro_align.inference.traces import (
    ALIGNMENT,
    Traces,
    is_observed,
    own_parameters,
    total,
)


class ExactMarginal(SentenceFreeBits, TraceEnum_ELBO):
    """``Σ_t log Σ_s p(z_t = s) p(y_t | z_t = s)`` (Deng et al. 2018, equation 1).

    If the guide has no site ``alignment``, the model's alignments are enumerated in parallel, with
    the traces of ``TraceEnum_ELBO``, and summed out. If they are a Markov chain, the sum over all
    paths is computed by the forward algorithm.

    If the guide has one, it is fitted to the exact posterior at the same time: the loss is
    ``−log p(y | x) + KL(q ‖ p(z | x, y))``, with the posterior held fixed, and its value is the
    negative evidence lower bound. The KL divergence has a gradient for the guide's own parameters
    only, so that the model is trained as it would be without a guide.

    If the model's alignment is observed, for example with ``poutine.condition``, the loss is
    ``−log p(y, z | x)``.

    With another latent site ``s`` the bound is ``E_q(s)[log p(y | x, s)] − KL(q(s) ‖ p(s))``. A
    guide with an alignment then gets the gradient of the evidence lower bound, and the model that
    of the tighter bound without the guide's alignment. The divergence of ``s`` may have free bits,
    see :class:`SentenceFreeBits`, which has the arguments.
    """

    pairs = frozenset(
        {
            ("categorical", "none"),
            ("categorical", "categorical"),
            ("markov", "none"),
            ("markov", "markov"),
        }
    )
    strategy = "marginalisation"
    weighs_kl = False
    trains_model_by_guide = False

    def _handled(self, model: Any, guide: Any) -> tuple[Any, Any]:
        """Enumerate the alignments of both programs."""
        enumerated_model, enumerated_guide = (
            config_enumerate(staying(program), default="parallel") for program in (model, guide)
        )
        return enumerated_model, enumerated_guide

    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Compute the log evidence, or the lower bound if the guide has an alignment."""
        if is_observed(traces.model_trace):
            return observed_terms(traces)
        prior = traces.prior
        likelihood, rest = log_likelihood(traces, type(self).__name__)
        joint = joint_of(traces, likelihood)
        # Equals TraceEnum_ELBO, which synchronises with a GPU.
        evidence = total(joint.logsumexp(0), prior) + rest
        if ALIGNMENT not in traces.guide_trace:
            return Terms(-evidence, evidence.detach(), {})

        # The posterior depends on the guide through other latent sites only.
        through_sites = bool(other_latents(traces.guide_trace))
        with torch.set_grad_enabled(through_sites and torch.is_grad_enabled()):
            posterior = posterior_of(traces, likelihood)
        gap = total(divergence(traces, posterior), prior)
        own = own_parameters(traces.guide, traces.model, traces)
        bound = evidence - gradient_alone(gap, own, retain_graph=through_sites)
        with torch.no_grad():
            kl = total(divergence(traces, prior_of(traces)), prior)
        return Terms(-bound, bound.detach() + kl, {ALIGNMENT: kl})

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The objective is exact for the model."""
        return Reference("log evidence" if kinds[1] == "none" else "log evidence; guide: ELBO")
