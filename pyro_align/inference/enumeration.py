"""A program's log probabilities for every alignment there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
from jaxtyping import Float
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyro_align.batch import Batch
from pyro_align.distributions import at_least_fp32
from pyro_align.errors import IncompatibleError
from pyro_align.inference.objective import Terms
from pyro_align.inference.traces import is_observed, program_name, refuse_other_sites


def enumerated_trace(program: Callable[[Batch], Any], batch: Batch) -> Any:
    """Trace with the site ``alignment`` enumerated along dim −3 and log probabilities computed.

    Handlers around the call see nothing of it: a guide may ask this of its model while it runs.
    A relaxed alignment counts as the Categorical that it relaxes.

    Raises:
        IncompatibleError: if the alignment cannot be enumerated, or is observed, or there are
            other latent sites.
    """
    with poutine.block():
        try:
            trace = poutine.trace(_EveryAlignment()(program)).get_trace(batch)
        except NotImplementedError as error:
            raise IncompatibleError(
                f"the site 'alignment' of {program_name(program)} cannot be enumerated: exact "
                "posteriors need a categorical alignment, and a model whose alignments lie on the "
                "simplex says so with latent = 'simplex'"
            ) from error
        refuse_other_sites(trace, program, "an enumeration of alignments")
        if is_observed(trace):
            raise IncompatibleError(
                f"{program_name(program)} observes the site 'alignment': there is no posterior of "
                f"alignments to compute"
            )
        trace.compute_log_prob()
    return trace


def enumerated_log_probs(
    trace: Any, site: str, batch: Batch
) -> Float[Tensor, "batch target source"]:
    """Log probability of a site of an enumerated trace, for every alignment."""
    sentences, sources = batch.source.shape
    log_prob = at_least_fp32(trace.nodes[site]["log_prob"])
    return log_prob.expand(sources, sentences, batch.target.shape[1]).permute(1, 2, 0)


def log_joint(trace: Any, nesting: int) -> tuple[Tensor, Tensor]:
    """Log ``p(z, y)`` of a trace in which ``alignment`` has several values in front of the plates.

    Args:
        trace: a model's, with log probabilities.
        nesting: number of plates.

    Returns:
        For every value and position the log probability of the alignment and of what was observed
        given it, masked but not scaled, for a power of a likelihood is none; and the sum of what
        does not depend on the alignment, scaled.
    """
    log_prior = trace.nodes["alignment"]["unscaled_log_prob"]
    joint, rest = log_prior, log_prior.new_zeros(())
    for site in trace.nodes.values():
        if site["type"] != "sample" or not site["is_observed"]:
            continue
        if site["log_prob"].dim() > nesting:
            joint = joint + scale_and_mask(site["unscaled_log_prob"], 1.0, site["mask"])
        else:
            rest = rest + site["log_prob"].sum()
    return joint, rest


def observed_terms(model_trace: Any) -> Terms:
    """Terms of a model whose alignment is observed too: ``log p(z, y)``, with nothing to infer."""
    log_joint = model_trace.log_prob_sum()
    return Terms(-log_joint, log_joint.detach(), log_joint.new_zeros(()))


class _EveryAlignment(Messenger):
    """Let ``alignment`` have all its values at once, in front of the plates.

    Pyro's own enumeration keeps its dimensions in a global, which does not nest.
    """

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] != "alignment" or msg["is_observed"]:
            return
        if msg["fn"].event_shape and hasattr(msg["fn"], "logits"):
            msg["fn"] = dist.Categorical(logits=msg["fn"].logits)
        msg["value"] = msg["fn"].enumerate_support(expand=False).reshape(-1, 1, 1)
        msg["done"] = True
