"""Traces of model and guide, and the names of Pyro that are not public."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyro.poutine.messenger import unwrap
from pyro.poutine.util import site_is_subsample
from torch import Tensor, nn

from pyro_align.errors import IncompatibleError

ALIGNMENT = "alignment"
"""The latent site that this package infers."""


def traces(elbo: Any, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Trace of the model, run against the guide, and of the guide, as a stock ELBO makes them.

    Raises:
        IncompatibleError: if there is a latent site besides :data:`ALIGNMENT`, or the model
            observes what the guide infers.
    """
    ((model_trace, guide_trace),) = elbo._get_traces(model, guide, args, kwargs)
    name = type(elbo).__name__
    for program, trace in ((model, model_trace), (guide, guide_trace)):
        refuse_other_sites(trace, program, name)
    if is_observed(model_trace) and ALIGNMENT in guide_trace:
        raise IncompatibleError(
            f"{program_name(model)} observes the site {ALIGNMENT!r}, which {program_name(guide)} "
            f"infers: use a guide without that site, such as NoGuide, with ExactMarginal"
        )
    return model_trace, guide_trace


def latent_sites(trace: Any) -> list[str]:
    """Names of the sample sites that are not observed, in the order of the program."""
    return [
        name
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not site["is_observed"] and not site_is_subsample(site)
    ]


def refuse_other_sites(trace: Any, program: Any, who: str) -> None:
    """Refuse latent sites besides :data:`ALIGNMENT`.

    Args:
        trace: of the program.
        program: a model or guide.
        who: what would ignore them.

    Raises:
        IncompatibleError: naming them.
    """
    others = [name for name in latent_sites(trace) if name != ALIGNMENT]
    if others:
        raise IncompatibleError(
            f"{who} infers the latent site {ALIGNMENT!r} alone and would ignore "
            f"{', '.join(map(repr, others))} of {program_name(program)}: use a stock ELBO such as "
            f"pyro.infer.TraceGraph_ELBO, or fix the value with pyro.poutine.condition"
        )


def is_observed(model_trace: Any) -> bool:
    """Whether the alignment is given, as by ``poutine.condition``."""
    site = model_trace.nodes.get(ALIGNMENT)
    return site is not None and bool(site["is_observed"])


def own_parameters(guide: Any, guide_trace: Any, model: Any, model_trace: Any) -> list[Tensor]:
    """Parameters of the guide that are not the model's, from modules and ``pyro.param`` alike."""
    of_guide, of_model = _parameters(guide, guide_trace), _parameters(model, model_trace)
    return [parameter for key, parameter in of_guide.items() if key not in of_model]


def _parameters(program: Any, trace: Any) -> dict[int, Tensor]:
    values = [site["value"] for site in trace.nodes.values() if site["type"] == "param"]
    leaves = [getattr(value, "unconstrained", lambda value=value: value)() for value in values]
    program = underlying(program)
    leaves += program.parameters() if isinstance(program, nn.Module) else []
    return {id(leaf): leaf for leaf in leaves if leaf.requires_grad}


def underlying(program: Callable[..., Any]) -> Any:
    """The program within Pyro handlers such as ``poutine.scale(model, 0.5)``."""
    return unwrap(program)


def program_name(program: Any) -> str:
    """What to call a program in a message."""
    program = underlying(program)
    return str(getattr(program, "__name__", type(program).__name__))
