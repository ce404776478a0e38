"""Samples of alignments that cannot be enumerated, for importance sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from jaxtyping import Float
from pyro import poutine
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.distributions import kl_divergence
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.sites import refuse_other_latents

DRAWS = 20
"""Number of alignments sampled per target position."""


@dataclass(frozen=True)
class Draws:
    """Samples from a proposal: the guide, or the prior if there is no guide.

    Attributes:
        log_prior: log density of the samples under the prior.
        log_proposal: log density of the samples under the proposal.
        log_likelihood: log probability of the gold token.
        prior_mean: mean of the prior.
        proposal_mean: mean of the proposal.
        divergence: ``KL(proposal ‖ prior)``.
    """

    log_prior: Float[Tensor, "draw batch target"]
    log_proposal: Float[Tensor, "draw batch target"]
    log_likelihood: Float[Tensor, "draw batch target"]
    prior_mean: Float[Tensor, "batch target source"]
    proposal_mean: Float[Tensor, "batch target source"]
    divergence: Float[Tensor, "batch target"]


def draw(
    model: Callable[[Batch], Any], guide: Callable[[Batch], Any] | None, batch: Batch
) -> Draws:
    """Run guide and model with :data:`DRAWS` samples per position, using a fixed seed."""
    plate = pyro.plate("draws", DRAWS, dim=-1 - MAX_PLATE_NESTING)
    device = batch.target.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        proposal = _trace(plate(model if guide is None else guide), batch)
        conditioned = poutine.replay(plate(model), trace=proposal)
        trace = _trace(conditioned, batch)
    p, q = trace.nodes["alignment"], proposal.nodes["alignment"]
    return Draws(
        log_prior=p["log_prob"],
        log_proposal=q["log_prob"],
        log_likelihood=trace.nodes["tokens"]["log_prob"],
        prior_mean=p["fn"].mean[0],
        proposal_mean=q["fn"].mean[0],
        divergence=kl_divergence(q["fn"], p["fn"])[0],
    )


def _trace(program: Callable[[Batch], Any], batch: Batch) -> Any:
    trace = poutine.trace(program).get_trace(batch)
    refuse_other_latents(trace, program, "importance sampling of alignments")
    trace.compute_log_prob()
    return trace
