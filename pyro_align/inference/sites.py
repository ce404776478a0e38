"""Latent sites other than the alignment: which are accepted, and their KL divergences.

Each objective has its own strategy for the site ``alignment``. Every other latent site, such as a
Gaussian for each sentence, is inferred by pathwise gradients: its value is sampled from the guide
and reparameterised, and its KL divergence from the prior is part of the loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro import poutine
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.distributions import MarkovChain, at_least_fp32, kl_divergence
from pyro_align.errors import IncompatibleError
from pyro_align.inference.kinds import Latent
from pyro_align.inference.traces import (
    ALIGNMENT,
    Traces,
    depends_on_alignment,
    is_observed,
    latent_sites,
    program_name,
    same_scale,
    total,
)

STOCK = (
    "use a stock ELBO such as pyro.infer.TraceGraph_ELBO, or fix the value with "
    "pyro.poutine.condition"
)


def other_latents(trace: Any) -> dict[str, Any]:
    """Return the latent sites of a trace except the alignment, by name."""
    return {name: site for name, site in latent_sites(trace).items() if name != ALIGNMENT}


def refuse_other_latents(trace: Any, program: Any, who: str) -> None:
    """Check that a program has no latent sites other than the alignment.

    Raises:
        IncompatibleError: if there are others; the message names them.
    """
    if others := other_latents(trace):
        raise IncompatibleError(
            f"{who} supports only the latent site {ALIGNMENT!r}, but {program_name(program)} "
            f"samples {', '.join(map(repr, others))}: train it with an objective in your own "
            f"loop, or fix the value with pyro.poutine.condition"
        )


def check_sites(traces: Traces, who: str, strategy: str, *, alone: bool = False) -> None:
    """Check that no site would be ignored by an objective.

    Args:
        traces: of model and guide.
        who: name of the objective.
        strategy: how the objective infers the alignment.
        alone: whether the alignment must be the only latent site.

    Raises:
        IncompatibleError: naming the site, why it is not handled, and what to use instead.
    """
    model, guide = program_name(traces.model), program_name(traces.guide)
    if observed := traces.guide_trace.observation_nodes:
        raise IncompatibleError(
            f"{who} would ignore the observed site or factor {observed[0]!r} of {guide}: use a "
            f"stock ELBO such as pyro.infer.TraceGraph_ELBO"
        )
    if is_observed(traces.model_trace) and ALIGNMENT in traces.guide_trace:
        raise IncompatibleError(
            f"{model} observes the site {ALIGNMENT!r}, but {guide} samples it: use ExactMarginal "
            f"and a guide without that site, such as NoGuide"
        )
    of_model, of_guide = (other_latents(each) for each in (traces.model_trace, traces.guide_trace))
    for name in [*of_model, *of_guide]:
        owner, other = (model, guide) if name in of_model else (guide, model)
        if alone:
            raise IncompatibleError(
                f"{who} infers {ALIGNMENT!r} by {strategy} and has no strategy for {name!r} of "
                f"{owner}, which needs pathwise gradients: use VIMCO, ImportanceWeightedBound, "
                f"ScoreFunctionELBO or EnumeratedELBO"
            )
        if not (name in of_model and name in of_guide):
            raise IncompatibleError(
                f"{who} needs the same latent sites in model and guide, but {owner} samples "
                f"{name!r} and {other} does not: sample it in both, or {STOCK}"
            )
        sites = of_model[name], of_guide[name]
        if not of_guide[name]["fn"].has_rsample:
            raise IncompatibleError(
                f"{who} infers {ALIGNMENT!r} by {strategy} and other latent sites by pathwise "
                f"gradients, which the {type(of_guide[name]['fn']).__name__} {name!r} of {guide} "
                f"does not have: {STOCK}"
            )
        if any(depends_on_alignment(site, traces.nesting) for site in sites):
            raise IncompatibleError(
                f"{who} infers {ALIGNMENT!r} by {strategy}, which is not possible if another "
                f"latent site depends on it, as {name!r} of {model} and {guide} does: sample "
                f"{name!r} independently of {ALIGNMENT!r}, or {STOCK}"
            )


def positional_observations(
    traces: Traces, who: str, *, one_scale: bool = True
) -> Iterator[tuple[Any, bool]]:
    """Yield the model's observed sites and whether each depends on the alignment.

    Args:
        traces: of model and guide.
        who: name of the objective, which sums or weights the alignments of each position.
        one_scale: whether the sites that depend on the alignment must have its scale.

    Raises:
        IncompatibleError: if a site depends on the alignments of several positions, or has another
            scale than the alignment although it must not.
    """
    plates = {frame for frame in traces.prior["cond_indep_stack"] if frame.vectorized}
    for site, dependent in traces.observations():
        name = site["name"]
        if dependent and not plates <= set(site["cond_indep_stack"]):
            raise IncompatibleError(
                f"the site {name!r} depends on the alignment but is outside its plates, so that "
                f"{who} cannot treat each position by itself: move the site into the plates or use "
                f"ScoreFunctionELBO"
            )
        if dependent and one_scale and not same_scale(site, traces.prior):
            raise IncompatibleError(
                f"{who} scales a bound as a whole, but the scale of {name!r} is {site['scale']} "
                f"and that of {ALIGNMENT!r} {traces.prior['scale']}: apply poutine.scale to the "
                f"whole program, or use EnumeratedELBO or ScoreFunctionELBO"
            )
        yield site, dependent


def divergences(traces: Traces) -> dict[str, Float[Tensor, ""]]:
    """Return the KL divergence of guide from prior of every latent site except the alignment.

    They are summed over plates (and particles), masked and scaled, and differentiable. With
    different scales or masks in model and guide the estimate is that of ``Trace_ELBO``.
    """
    of_model = other_latents(traces.model_trace)
    found = {}
    for name, site in other_latents(traces.guide_trace).items():
        other = of_model[name]
        if same_scale(site, other) and site["mask"] is other["mask"]:
            found[name] = total(divergence(site, other), site)
        else:
            log_q, log_p = (at_least_fp32(each["log_prob"]).sum() for each in (site, other))
            found[name] = log_q - log_p
    return found


def divergence(guide_site: Any, model_site: Any) -> Float[Tensor, "*shape"]:
    """Compute a KL divergence in closed form, or estimate it from the sample if there is none.

    The result has the shape of the log probability of the site, not masked and not scaled.
    """
    try:
        return at_least_fp32(kl_divergence(guide_site["fn"], model_site["fn"]))
    except NotImplementedError:
        log_q, log_p = (
            at_least_fp32(site["unscaled_log_prob"]) for site in (guide_site, model_site)
        )
        return log_q - log_p


@torch.no_grad()
def latents_of(program: Any, batch: Batch) -> Mapping[str, Latent]:
    """Return the kinds of the latent sites of a program: as declared, or else from a run.

    In a run, a site other than ``alignment`` is ``gaussian`` if it can be reparameterised.
    """
    if (declared := getattr(program, "latents", None)) is not None:
        return cast("Mapping[str, Latent]", declared)
    with torch.random.fork_rng(devices=[]), poutine.block():
        trace = poutine.trace(program).get_trace(batch)
    return {name: _kind(name, site["fn"]) for name, site in latent_sites(trace).items()}


def _kind(name: str, fn: Any) -> Latent:
    if isinstance(fn, MarkovChain):
        return "markov"
    if name == ALIGNMENT:
        return "categorical" if isinstance(fn, dist.Categorical) else "simplex"
    return "gaussian" if fn.has_rsample else "categorical"
