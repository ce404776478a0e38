"""Wake-sleep: the model learns from data, the guide from dreams of the model."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.inference.chains import inclusive_divergence, posterior_of
from pyro_align.inference.diagnostics import without_dropout
from pyro_align.inference.dreams import dream
from pyro_align.inference.enumeration import log_likelihood, trace_every_alignment
from pyro_align.inference.gradients import gradient_alone
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.objective import Objective, Reference, Terms
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.sites import divergence
from pyro_align.inference.traces import (
    ALIGNMENT,
    SiteHandler,
    Traces,
    latent_sites,
    own_parameters,
    total,
)


class WakeSleep(Objective, Trace_ELBO):
    """The wake-sleep algorithm (Hinton et al. 1995).

    - Wake phase: latent variables are sampled from the guide, and the model follows
      ``E_q ∇ log p(y, z | x)``.
    - Sleep phase: latent variables and observations are sampled from the model, see
      :func:`~pyro_align.inference.dreams.dream`, and the guide follows ``E_p ∇ log q(z | x, y)``.

    Both phases are one step. They do not optimise one function: the guide minimises the inclusive
    divergence ``KL(p(z | x, y) ‖ q)`` on dreams instead of the divergence that the bound contains.
    If a dream has no value of the alignment, the guide fits its exact posterior on the dream, which
    is the expectation over its values.

    The value of the loss is the negative evidence lower bound, estimated from the samples of the
    wake phase. Parameters that belong to the model are trained by the wake phase only.
    ``kl_weight`` must be 1.
    """

    pairs = frozenset({("none", "none"), ("categorical", "categorical"), ("markov", "markov")})
    strategy = "wake-sleep"
    weighs_kl = False
    is_pathwise = False
    weighs_other_sites = False

    def __init__(self) -> None:
        super().__init__()

    def _handled(self, model: Any, guide: Any) -> tuple[Any, Any]:
        """Sample from the guide without gradient."""
        return model, SiteHandler(_sample_without_gradient, name=None)(guide)

    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Compute the losses of both phases."""
        prior = latent_sites(traces.model_trace)
        likelihood = traces.log_likelihood()
        joint = likelihood + sum(site["log_prob"].sum() for site in prior.values())
        with torch.no_grad():
            kl = {
                name: total(divergence(site, prior[name]), site)
                for name, site in latent_sites(traces.guide_trace).items()
            }
            bound = likelihood - sum(kl.values(), start=likelihood.new_zeros(()))
        surrogate = -joint
        if kl:
            own = own_parameters(traces.guide, traces.model, traces)
            asleep = self._sleep(traces, args[0])
            surrogate = surrogate + gradient_alone(asleep, own, retain_graph=False)
        loss = surrogate - (surrogate + bound).detach()
        return Terms(loss, likelihood.detach(), kl)

    def _sleep(self, traces: Traces, batch: Batch) -> Float[Tensor, ""]:
        """Compute ``−log q(z | x, y)`` on a dream."""
        with torch.no_grad(), without_dropout(traces.model):
            dreamt = dream(traces.model, batch)
        rows = dreamt.batch.sharing()
        model, guide = (
            poutine.condition(program, dict(dreamt.values))
            for program in (traces.model, traces.guide)
        )
        guide_trace = trace_every_alignment(guide, rows)
        loss = -sum(
            (guide_trace.nodes[name]["log_prob"].sum() for name in dreamt.values),
            start=torch.zeros((), device=rows.target.device),
        )
        if ALIGNMENT not in latent_sites(guide_trace):
            return loss
        # Handlers around the objective, such as guided alignment, are for the data only.
        with torch.no_grad(), poutine.block():
            model_trace = trace_every_alignment(model, rows)
        asleep = Traces(model, guide, model_trace, guide_trace, nesting=MAX_PLATE_NESTING)
        likelihood, _ = log_likelihood(asleep, type(self).__name__)
        posterior = posterior_of(asleep, likelihood)
        return loss + total(inclusive_divergence(asleep, posterior), asleep.alignment)

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """Expectations over dreams are not enumerated."""
        return Reference("wake and sleep phase")


def _sample_without_gradient(msg: Any) -> None:
    with torch.no_grad():
        msg["value"] = msg["fn"].sample()
