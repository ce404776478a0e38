"""Enumeration of the alignments of a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
from jaxtyping import Float
from pyro import poutine
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.distributions import MarkovChain, at_least_fp32
from pyro_align.errors import IncompatibleError
from pyro_align.inference.chains import StayingPaths, chain_of, joint_with_past
from pyro_align.inference.objective import Terms
from pyro_align.inference.sites import positional_observations, refuse_other_latents
from pyro_align.inference.traces import (
    SiteHandler,
    Traces,
    is_observed,
    masked_log_prob,
    program_name,
)


def enumerated_trace(program: Callable[[Batch], Any], batch: Batch) -> Any:
    """Trace a program with ``alignment`` enumerated along dim −3, and compute log probabilities.

    The run is hidden from Pyro handlers around the call, so that a guide may call this on its model
    while it runs. A relaxed alignment is replaced by the Categorical that it relaxes.

    Raises:
        IncompatibleError: if the alignment cannot be enumerated or is observed, or if there are
            other latent sites.
    """
    with poutine.block():
        trace = trace_every_alignment(program, batch)
    refuse_other_latents(trace, program, "an enumeration of alignments")
    return trace


def trace_every_alignment(program: Callable[[Batch], Any], batch: Batch) -> Any:
    """Trace a program like :func:`enumerated_trace`, and sample other latent sites.

    Pyro handlers around the call see the run.

    Raises:
        IncompatibleError: if the alignment cannot be enumerated or is observed.
    """
    try:
        trace = poutine.trace(SiteHandler(every_alignment)(program)).get_trace(batch)
    except NotImplementedError as error:
        raise IncompatibleError(
            f"the site 'alignment' of {program_name(program)} cannot be enumerated: exact "
            "posteriors need a categorical alignment. A model with alignments on the simplex "
            "must set latents = {'alignment': 'simplex'}"
        ) from error
    if is_observed(trace):
        raise IncompatibleError(
            f"{program_name(program)} observes the site 'alignment', so there is no posterior "
            f"over alignments to compute"
        )
    trace.compute_log_prob()
    return trace


def enumerated_log_probs(
    trace: Any, site: str, batch: Batch
) -> Float[Tensor, "batch target source"]:
    """Return the log probability of a site of an enumerated trace for every alignment.

    Of a Markov chain it is that of each position given earlier tokens, ``log p(z_t = s | y_<t)``,
    or without tokens, as in a guide, its log marginal.
    """
    sentences, sources = batch.source_mask.shape
    shape = (sources, sentences, batch.target.shape[1])
    log_prob = at_least_fp32(trace.nodes[site]["log_prob"])
    if (chain := chain_of(trace.nodes[site])) is not None:
        emission = (
            enumerated_log_probs(trace, "tokens", batch)
            if "tokens" in trace
            else log_prob.new_zeros(shape).permute(1, 2, 0)
        )
        return chain.predictive(emission.unsqueeze(1)).squeeze(1)
    return log_prob.expand(shape).permute(1, 2, 0)


def log_joint(traces: Traces, who: str) -> tuple[Tensor, Tensor]:
    """Compute ``log p(z, y)`` from traces with several values of ``alignment`` at dim −3.

    Args:
        traces: of model and guide.
        who: name of the objective, for messages.

    Returns:
        The log joint probability of the alignment and the sites that depend on it, for every value
        and position, masked but not scaled (a power of a likelihood is not a likelihood); and the
        summed, scaled log probability of the observed sites that do not depend on the alignment. Of
        a Markov chain the former is that of the alignment and the token of a position given earlier
        tokens.

    Raises:
        IncompatibleError: if a site that depends on the alignment has other plates or another
            scale.
    """
    emission, rest = log_likelihood(traces, who)
    return joint_of(traces, emission), rest


def log_likelihood(traces: Traces, who: str) -> tuple[Tensor, Tensor]:
    """Compute ``log p(y | z)`` for every value of ``alignment``; otherwise as :func:`log_joint`."""
    likelihood = rest = traces.prior["unscaled_log_prob"].new_zeros(())
    for site, dependent in positional_observations(traces, who):
        if dependent:
            likelihood = likelihood + masked_log_prob(site)
        else:
            rest = rest + site["log_prob"].sum()
    return likelihood, rest


def joint_of(traces: Traces, likelihood: Tensor) -> Tensor:
    """Add the prior to a log likelihood for every value of ``alignment``."""
    if (chain := chain_of(traces.prior)) is not None:
        return joint_with_past(chain, likelihood)
    return traces.prior["unscaled_log_prob"] + likelihood


def observed_terms(traces: Traces) -> Terms:
    """Return the terms of a model without an alignment to infer: the log probability observed."""
    observed = traces.log_likelihood()
    return Terms(-observed, observed.detach(), {})


def every_alignment(msg: Any) -> None:
    """Set ``alignment`` to all its values at once, along a dimension left of the plates.

    Pyro's own enumeration allocates its dimensions globally, so that it cannot be nested.
    """
    if msg["fn"].event_shape and hasattr(msg["fn"], "logits"):
        msg["fn"] = dist.Categorical(logits=msg["fn"].logits)
    if isinstance(msg["fn"], MarkovChain):
        msg["fn"] = StayingPaths(msg["fn"])
        msg["value"] = msg["fn"].enumerate_support(expand=False)
    else:
        msg["value"] = msg["fn"].enumerate_support(expand=False).reshape(-1, 1, 1)
    msg["done"] = True
