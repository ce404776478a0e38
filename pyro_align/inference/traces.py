"""Traces of model and guide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyro.poutine.messenger import unwrap
from pyro.poutine.util import site_is_subsample
from torch import Tensor, nn

from pyro_align.errors import IncompatibleError

ALIGNMENT = "alignment"
"""Name of the latent site that this package infers."""


def traces(elbo: Any, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Trace the guide, and the model replayed against it, with the methods of a stock ELBO.

    Returns:
        The traces of model and guide.

    Raises:
        IncompatibleError: if there is a latent site other than :data:`ALIGNMENT`, or if the model
            observes the site that the guide samples.
    """
    ((model_trace, guide_trace),) = elbo._get_traces(model, guide, args, kwargs)
    name = type(elbo).__name__
    for program, trace in ((model, model_trace), (guide, guide_trace)):
        refuse_other_sites(trace, program, name)
    if guide_trace.observation_nodes:
        raise IncompatibleError(
            f"{name} would ignore the observed site or factor {guide_trace.observation_nodes[0]!r} "
            f"of {program_name(guide)}: use a stock ELBO such as pyro.infer.TraceGraph_ELBO"
        )
    if is_observed(model_trace) and ALIGNMENT in guide_trace:
        raise IncompatibleError(
            f"{program_name(model)} observes the site {ALIGNMENT!r}, but {program_name(guide)} "
            f"samples it: use ExactMarginal and a guide without that site, such as NoGuide"
        )
    return model_trace, guide_trace


def latent_sites(trace: Any) -> dict[str, Any]:
    """Return the unobserved sample sites by name, in the order of the program."""
    return {
        name: site
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not site["is_observed"] and not site_is_subsample(site)
    }


def refuse_other_sites(trace: Any, program: Any, who: str) -> None:
    """Check that a program has no latent sites other than :data:`ALIGNMENT`.

    Args:
        trace: of the program.
        program: a model or guide.
        who: name of the caller, for the message.

    Raises:
        IncompatibleError: if there are others; the message names them.
    """
    others = [name for name in latent_sites(trace) if name != ALIGNMENT]
    if others:
        raise IncompatibleError(
            f"{who} supports only the latent site {ALIGNMENT!r} and would ignore "
            f"{', '.join(map(repr, others))} of {program_name(program)}: use a stock ELBO such as "
            f"pyro.infer.TraceGraph_ELBO, or fix the value with pyro.poutine.condition"
        )


def is_observed(model_trace: Any) -> bool:
    """Return whether the alignment is observed, for example with ``poutine.condition``."""
    site = model_trace.nodes.get(ALIGNMENT)
    return site is not None and bool(site["is_observed"])


def own_parameters(guide: Any, guide_trace: Any, model: Any, model_trace: Any) -> list[Tensor]:
    """Return the guide's parameters that the model lacks, from modules and ``pyro.param``."""
    of_guide, of_model = _parameters(guide, guide_trace), _parameters(model, model_trace)
    return [parameter for key, parameter in of_guide.items() if key not in of_model]


def _parameters(program: Any, trace: Any) -> dict[int, Tensor]:
    values = [site["value"] for site in trace.nodes.values() if site["type"] == "param"]
    leaves = [getattr(value, "unconstrained", lambda value=value: value)() for value in values]
    program = underlying(program)
    leaves += program.parameters() if isinstance(program, nn.Module) else []
    return {id(leaf): leaf for leaf in leaves if leaf.requires_grad}


def underlying(program: Callable[..., Any]) -> Any:
    """Return the program inside Pyro handlers such as ``poutine.scale(model, 0.5)``."""
    return unwrap(program)


def program_name(program: Any) -> str:
    """Return the name of a program for messages."""
    program = underlying(program)
    return str(getattr(program, "__name__", type(program).__name__))
