"""Guided alignment, training with links between source and target, as a Pyro handler."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pyro
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pyro_align.distributions.masked import MASKED_LOGIT
from pyro_align.errors import ConfigError
from pyro_align.inference.traces import ALIGNMENT, SiteHandler


def guided_alignment(
    links: Bool[Tensor, "batch target source"] | None, weight: float
) -> AbstractContextManager[Any]:
    """Observe links between source and target in programs that run in this context.

    Models get an observed site ``links`` with the log probability ``log r_t(z_t)``, where
    ``r_t(s)`` is 1 if position ``s`` is linked to ``t`` or ``t`` has no links, and ``1 − weight``
    otherwise. The marginal likelihood of a target position with links becomes

        ``log [weight · Σ_{s linked} p(z_t = s) p(y_t | s) + (1 − weight) · Σ_s p(z_t = s) p(y_t |
        s)]``,

    an interpolation of the marginal likelihoods restricted to the links and without restriction. It
    is the likelihood of links each of which is random with probability ``1 − weight``. Any
    objective, also a stock Pyro ELBO, then maximises this or its lower bound. Relaxed alignments
    and soft attention have weights ``a_ts`` instead of a position, and the log probability of the
    links is ``log Σ_s a_ts r_t(s)``. Posteriors that a guide computes from the model are those
    without links.

    Chen et al. 2016 ("Guided alignment training for topic-aware neural machine translation") add
    the cross entropy of soft attention instead.

    Args:
        links: True where a source position is linked to a target position; None changes nothing.
        weight: probability that the links are right, from 0 to 1; 0 changes nothing. With 1 a
            bound needs a guide that excludes all other positions.

    Raises:
        ConfigError: while a program runs, if it has neither a site ``alignment`` nor attention.

    Example::

        with guided_alignment(batch.links, 0.9):
            svi.step(batch)
    """
    if links is None or not weight:
        return nullcontext()
    is_possible = links | ~links.any(-1, keepdim=True)
    log_other = math.log1p(-weight) if weight < 1 else MASKED_LOGIT
    log_probs = torch.zeros(links.shape, device=links.device).masked_fill(~is_possible, log_other)
    latest: list[Any] = []  # message of the alignment that the next tokens depend on

    def observe(msg: Any) -> None:
        if msg["name"] == "tokens" and msg["is_observed"]:
            attention = msg["infer"].get("attention")
            if not latest and attention is None:
                raise ConfigError(
                    "links need a site 'alignment' before the site 'tokens', or attention weights "
                    "in infer={'attention': Categorical} of 'tokens': remove data.links"
                )
            # Objectives may repeat every sentence for several samples, see Batch.repeated.
            rows = log_probs.repeat_interleave(msg["value"].shape[-2] // len(log_probs), dim=0)
            # The alignment is read only now, when the handlers within have seen it.
            pyro.factor("links", _log_probability(rows, *latest, attention=attention))

    def remember(msg: Any) -> None:
        if msg["name"] == ALIGNMENT:
            latest[:] = [msg]

    return SiteHandler(observe, after=remember, name=None, observed=True)


def _log_probability(
    log_probs: Float[Tensor, "batch target source"], site: Any = None, *, attention: Any = None
) -> Float[Tensor, "*shape batch target"]:
    """Return the log probability of the links, given a site ``alignment`` or soft attention."""
    if site is None:
        return (attention.logits + log_probs).logsumexp(-1)
    value = site["value"]
    if value.is_floating_point():
        tiny = torch.finfo(value.dtype).tiny
        return (value.clamp_min(tiny).log() + log_probs).logsumexp(-1)
    if site["fn"].event_shape:  # paths of whole sentences, of batch shape (batch, 1)
        value = value.squeeze(-2)
    shape = torch.broadcast_shapes(value.shape, log_probs.shape[:-1])
    table = log_probs.expand(*shape, -1)
    return table.gather(-1, value.expand(shape).unsqueeze(-1)).squeeze(-1)
