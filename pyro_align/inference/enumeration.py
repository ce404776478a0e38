"""Enumeration of the alignments of a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
from jaxtyping import Float
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.distributions import MarkovChain, at_least_fp32
from pyro_align.errors import IncompatibleError
from pyro_align.inference.chains import StayingPaths, chain_of, joint_with_past
from pyro_align.inference.objective import Terms
from pyro_align.inference.traces import is_observed, program_name, refuse_other_sites


def enumerated_trace(program: Callable[[Batch], Any], batch: Batch) -> Any:
    """Trace a program with ``alignment`` enumerated along dim −3, and compute log probabilities.

    The run is hidden from Pyro handlers around the call, so that a guide may call this on its model
    while it runs. A relaxed alignment is replaced by the Categorical that it relaxes.

    Raises:
        IncompatibleError: if the alignment cannot be enumerated or is observed, or if there are
            other latent sites.
    """
    with poutine.block():
        try:
            trace = poutine.trace(_EveryAlignment()(program)).get_trace(batch)
        except NotImplementedError as error:
            raise IncompatibleError(
                f"the site 'alignment' of {program_name(program)} cannot be enumerated: exact "
                "posteriors need a categorical alignment. A model with alignments on the simplex "
                "must set latents = {'alignment': 'simplex'}"
            ) from error
        refuse_other_sites(trace, program, "an enumeration of alignments")
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

    Of a Markov chain it is ``log p(z_t = s | y_<t)``.
    """
    if (chain := chain_of(trace.nodes[site])) is not None:
        emission = enumerated_log_probs(trace, "tokens", batch)
        return chain.predictive(emission.unsqueeze(1)).squeeze(1)
    sentences, sources = batch.source_mask.shape
    log_prob = at_least_fp32(trace.nodes[site]["log_prob"])
    return log_prob.expand(sources, sentences, batch.target.shape[1]).permute(1, 2, 0)


def log_joint(trace: Any, nesting: int) -> tuple[Tensor, Tensor]:
    """Compute ``log p(z, y)`` from a trace with several values of ``alignment`` at dim −3.

    Args:
        trace: of the model, with log probabilities computed.
        nesting: number of plates.

    Returns:
        The log joint probability of the alignment and the sites that depend on it, for every value
        and position, masked but not scaled (a power of a likelihood is not a likelihood); and the
        summed, scaled log probability of the sites that do not depend on the alignment. Of a Markov
        chain the former is that of the alignment and the token of a position given earlier tokens.
    """
    prior = trace.nodes["alignment"]
    emission = rest = prior["unscaled_log_prob"].new_zeros(())
    for site in trace.nodes.values():
        if site["type"] != "sample" or not site["is_observed"]:
            continue
        if site["log_prob"].dim() > nesting:
            emission = emission + scale_and_mask(site["unscaled_log_prob"], 1.0, site["mask"])
        else:
            rest = rest + site["log_prob"].sum()
    if (chain := chain_of(prior)) is not None:
        return joint_with_past(chain, emission), rest
    return prior["unscaled_log_prob"] + emission, rest


def observed_terms(model_trace: Any) -> Terms:
    """Return the terms of a model without latent sites: the joint log probability and no KL."""
    log_joint = model_trace.log_prob_sum()
    return Terms(-log_joint, log_joint.detach(), log_joint.new_zeros(()))


class _EveryAlignment(Messenger):
    """Set ``alignment`` to all its values at once, along a dimension left of the plates.

    Pyro's own enumeration allocates its dimensions globally, so that it cannot be nested.
    """

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] != "alignment" or msg["is_observed"]:
            return
        if msg["fn"].event_shape and hasattr(msg["fn"], "logits"):
            msg["fn"] = dist.Categorical(logits=msg["fn"].logits)
        if isinstance(msg["fn"], MarkovChain):
            msg["fn"] = StayingPaths(msg["fn"])
            msg["value"] = msg["fn"].enumerate_support(expand=False)
        else:
            msg["value"] = msg["fn"].enumerate_support(expand=False).reshape(-1, 1, 1)
        msg["done"] = True
