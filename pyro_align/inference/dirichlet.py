"""The evidence lower bound of relaxed alignments."""

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


class RelaxedELBO(PathwiseELBO):
    """``E_q[log p(y | z)] − KL(q ‖ p)`` for alignments on the simplex (Deng et al. 2018).

    Draws are implicitly reparameterised (Figurnov et al. 2018; Jankowiak & Obermeyer 2018) and the
    divergence is in closed form; stock ``TraceMeanField_ELBO`` is the same estimator.

    Before the emission has learnt to read an alignment, the divergence outweighs what an alignment
    is worth: prior and guide collapse to the same flat Dirichlet and may stay there. So training
    begins with the Jensen bound ``E_p[log p(y | z)]``, the evidence lower bound with the prior as
    its own guide, whose divergence is zero: it fits the model, while the guide is fitted to the
    prior by ``KL(q ‖ p)``, the prior held fixed (what a guide reads of the model gets that gradient
    too). Where the bound itself takes over, it is then as high as the Jensen bound. (To fit the
    guide by ``E_q[log p(y | z)]`` alone does not do: nothing keeps it near the prior, and the
    divergence grows to thousands of nats.)

    Args:
        samples: alignments drawn for every target position; the estimate is their mean.
        free_bits: nats of KL divergence a target position that cost nothing.
        warmup_steps: optimiser steps that maximise the Jensen bound first, counted by :attr:`step`;
            without a step the objective is the evidence lower bound itself.
    """

    pairs = frozenset({("simplex", "simplex")})

    def __init__(
        self, *, samples: Count = 1, free_bits: NonNegative = 0.0, warmup_steps: CountOrZero = 200
    ):
        if warmup_steps < 0:
            raise ConfigError(f"warmup_steps are optimiser steps, 0 or more; got {warmup_steps}")
        super().__init__(samples=samples, free_bits=free_bits)
        self.warmup_steps = warmup_steps

    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Estimates from ``samples`` alignments a position; of the guide, in the warm-up too."""
        model_trace, guide_trace = self._traces(model, guide, args, kwargs)
        site, prior = guide_trace.nodes["alignment"], model_trace.nodes["alignment"]
        log_likelihood = self._log_likelihood(model_trace)
        terms = self._bound(log_likelihood, kl_divergence(site["fn"], prior["fn"]), site)
        if self.step is None or self.step >= self.warmup_steps:
            return terms
        under_prior, _ = self._traces(model, poutine.block(model, hide_fn=_observed), args, kwargs)
        to_prior = self._sum(kl_divergence(site["fn"], _held(prior["fn"])), site)
        return dataclasses.replace(terms, loss=to_prior - self._log_likelihood(under_prior))


def _held(fn: Any) -> Any:
    """The same distribution, its parameters without gradient."""
    held = copy.copy(fn)
    for name, value in vars(fn).items():
        if isinstance(value, Tensor):
            setattr(held, name, value.detach())
    return held


def _observed(site: Any) -> bool:
    return site["type"] == "sample" and site["is_observed"]
