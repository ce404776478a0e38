"""Evidence lower bound for alignments on the simplex."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from pyro import poutine
from torch import Tensor

from pyro_align.constraints import Count, CountOrZero, NonNegative
from pyro_align.distributions import kl_divergence
from pyro_align.errors import ConfigError
from pyro_align.inference.objective import Terms
from pyro_align.inference.pathwise import PathwiseELBO
from pyro_align.inference.sites import other_latents
from pyro_align.inference.traces import SiteHandler, Traces


class RelaxedELBO(PathwiseELBO):
    """``E_q[log p(y | z)] − KL(q ‖ p)`` for alignments on the simplex (Deng et al. 2018).

    Samples are implicitly reparameterised (Figurnov et al. 2018; Jankowiak & Obermeyer 2018) and
    the KL divergence is in closed form; stock ``TraceMeanField_ELBO`` is the same estimator.

    Early in training the emission does not use the alignment yet, and the KL divergence costs more
    than an alignment gains: prior and guide collapse to the same flat Dirichlet and may stay there.
    A warm-up avoids this. It trains the model with the Jensen bound ``E_p[log p(y | z)]``, which is
    the evidence lower bound with the prior as the guide, and fits the guide to the prior by
    minimising ``KL(q ‖ p)`` with the prior held fixed (whatever the guide reads from the model gets
    that gradient too). When the warm-up ends, the evidence lower bound is therefore about as high
    as the Jensen bound. (Fitting the guide by ``E_q[log p(y | z)]`` alone fails: nothing keeps it
    near the prior, and the divergence grows to thousands of nats.)

    Args:
        samples: alignments sampled per target position; the estimate is their mean.
        free_bits: KL divergence per target position, in nats, that is not penalised.
        warmup_steps: optimiser steps of the warm-up, counted by :attr:`step`; without a step the
            objective is the evidence lower bound itself.
    """

    pairs = frozenset({("simplex", "simplex")})

    def __init__(
        self, *, samples: Count = 1, free_bits: NonNegative = 0.0, warmup_steps: CountOrZero = 200
    ):
        if warmup_steps < 0:
            raise ConfigError(f"warmup_steps must be 0 or more, got {warmup_steps}")
        super().__init__(samples=samples, free_bits=free_bits)
        self.warmup_steps = warmup_steps

    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Estimate the terms; KL and likelihood are the guide's, also during the warm-up."""
        site, prior = traces.alignment, traces.prior
        log_likelihood = self._log_likelihood(traces)
        terms = self._bound(log_likelihood, kl_divergence(site["fn"], prior["fn"]), site)
        if self.step is None or self.step >= self.warmup_steps:
            return terms
        # The prior as the guide of the alignment, with the samples of all other sites kept.
        others = other_latents(traces.guide_trace)

        def keep(msg: Any) -> None:
            if msg["name"] in others:
                msg["value"] = others[msg["name"]]["value"]

        from_prior = poutine.block(SiteHandler(keep, name=None)(traces.model), hide_fn=_observed)
        under_prior = self._traces(traces.model, from_prior, args, kwargs)
        to_prior = self._sum(kl_divergence(site["fn"], _held(prior["fn"])), site)
        return dataclasses.replace(terms, loss=to_prior - self._log_likelihood(under_prior))


def _held(fn: Any) -> Any:
    """Copy a distribution with its parameters detached."""
    held = copy.copy(fn)
    for name, value in vars(fn).items():
        if isinstance(value, Tensor):
            setattr(held, name, value.detach())
    return held


def _observed(site: Any) -> bool:
    return site["type"] == "sample" and site["is_observed"]
