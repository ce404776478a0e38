"""Traces of model and guide, and all that the package uses of Pyro's undocumented names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from pyro.distributions.util import scale_and_mask
from pyro.infer.tracegraph_elbo import _construct_baseline as pyro_baseline
from pyro.infer.util import MultiFrameTensor, torch_backward
from pyro.nn import PyroModule
from pyro.ops.provenance import detach_provenance, get_provenance
from pyro.poutine.messenger import Messenger, unwrap
from pyro.poutine.runtime import am_i_wrapped as has_handlers
from pyro.poutine.util import site_is_subsample
from torch import Tensor, nn

__all__ = [
    "ALIGNMENT",
    "MultiFrameTensor",
    "SiteHandler",
    "Traces",
    "depends_on_alignment",
    "detach_provenance",
    "has_handlers",
    "is_observed",
    "latent_sites",
    "masked",
    "masked_log_prob",
    "own_parameters",
    "program_name",
    "pyro_baseline",
    "rename",
    "same_scale",
    "scaled",
    "torch_backward",
    "total",
    "trace_pair",
    "underlying",
]

ALIGNMENT = "alignment"
"""Name of the latent site for which each objective has its own strategy."""


@dataclass(frozen=True)
class Traces:
    """Traces of a guide and of the model replayed against it, with log probabilities.

    Attributes:
        model: the model, without the handlers of an objective.
        guide: the guide, without the handlers of an objective.
        model_trace: trace of the model.
        guide_trace: trace of the guide.
        nesting: number of plates. Dimensions to the left of them are values of the alignment.
    """

    model: Any
    guide: Any
    model_trace: Any
    guide_trace: Any
    nesting: int

    @property
    def alignment(self) -> Any:
        """The site ``alignment`` of the guide."""
        return self.guide_trace.nodes[ALIGNMENT]

    @property
    def prior(self) -> Any:
        """The site ``alignment`` of the model."""
        return self.model_trace.nodes[ALIGNMENT]

    def observations(self) -> Iterator[tuple[Any, bool]]:
        """Yield the model's observed sites and whether each depends on the alignment."""
        for name in self.model_trace.observation_nodes:
            site = self.model_trace.nodes[name]
            yield site, depends_on_alignment(site, self.nesting)

    def log_likelihood(self) -> Float[Tensor, ""]:
        """Return the log probability of the model's observed sites."""
        observed = [site["log_prob"].sum() for site, _ in self.observations()]
        return sum(observed, start=torch.zeros(()))


def trace_pair(elbo: Any, programs: tuple[Any, Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Trace the guide, and the model replayed against it, with the methods of a stock ELBO.

    Args:
        elbo: an instance of a stock ELBO.
        programs: model and guide.
        args: positional arguments of both programs.
        kwargs: keyword arguments of both programs.

    Returns:
        The traces of model and guide.
    """
    (pair,) = elbo._get_traces(*programs, args, kwargs)
    return tuple(pair)


def latent_sites(trace: Any) -> dict[str, Any]:
    """Return the unobserved sample sites by name, in the order of the program."""
    return {
        name: site
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not site["is_observed"] and not site_is_subsample(site)
    }


def is_observed(model_trace: Any) -> bool:
    """Return whether the alignment is observed, for example with ``poutine.condition``."""
    site = model_trace.nodes.get(ALIGNMENT)
    return site is not None and bool(site["is_observed"])


def depends_on_alignment(site: Any, nesting: int) -> bool:
    """Return whether the distribution of a site depends on the alignment.

    Pyro tracks this for sampled alignments (``TraceGraph_ELBO``); enumerated ones add a dimension.
    """
    log_prob = site["log_prob"]
    return log_prob.dim() > nesting or ALIGNMENT in get_provenance(log_prob)


def total(values: Float[Tensor, "*shape"], site: Any) -> Float[Tensor, ""]:
    """Sum values over the plates, masked and scaled as the log probability of a site is."""
    return scaled(values, site).sum()


def scaled(values: Float[Tensor, "*shape"], site: Any) -> Float[Tensor, "*shape"]:
    """Mask and scale values as the log probability of a site is."""
    found: Tensor = scale_and_mask(values, site["scale"], site["mask"])
    return found


def masked_log_prob(site: Any) -> Float[Tensor, "*shape"]:
    """Return the log probability of a site, masked but not scaled.

    Alignments are summed out or weighted before the scale is applied: a power of a likelihood is
    not a likelihood.
    """
    return masked(site["unscaled_log_prob"], site)


def masked(values: Float[Tensor, "*shape"], site: Any) -> Float[Tensor, "*shape"]:
    """Set values to zero where a site is masked."""
    found: Tensor = scale_and_mask(values, 1.0, site["mask"])
    return found


def same_scale(*sites: Any) -> bool:
    """Return whether sites have the same ``poutine.scale``."""
    first, *others = (torch.as_tensor(site["scale"]) for site in sites)
    return all(torch.equal(first, other.to(first)) for other in others)


class SiteHandler(Messenger):
    """A handler that changes latent sites of a program.

    Args:
        before: called with the message of a site before a value is sampled. It may set ``fn``, or
            ``value`` (and ``done``, to skip the handlers around this one).
        after: called with the message of a site when it has a value.
        name: name of the only site to change; None for all.
        observed: whether observed sites are changed too.
    """

    def __init__(
        self,
        before: Callable[[Any], None] | None = None,
        *,
        after: Callable[[Any], None] | None = None,
        name: str | None = ALIGNMENT,
        observed: bool = False,
    ):
        super().__init__()
        self.before = before
        self.after = after
        self.name = name
        self.observed = observed

    def _pyro_sample(self, msg: Any) -> None:
        if self.before is not None and self._changes(msg):
            self.before(msg)

    def _pyro_post_sample(self, msg: Any) -> None:
        if self.after is not None and self._changes(msg):
            self.after(msg)

    def _changes(self, msg: Any) -> bool:
        if site_is_subsample(msg) or (msg["is_observed"] and not self.observed):
            return False
        return self.name is None or msg["name"] == self.name


def own_parameters(guide: Any, model: Any, traces: Traces | None = None) -> list[Tensor]:
    """Return the guide's parameters that do not belong to the model, which it may contain.

    Args:
        guide: the guide.
        model: the model.
        traces: traces of both, to include the parameters of ``pyro.param``.
    """
    of_guide = _parameters(guide, traces and traces.guide_trace)
    of_model = _parameters(model, traces and traces.model_trace)
    return [parameter for key, parameter in of_guide.items() if key not in of_model]


def _parameters(program: Any, trace: Any) -> dict[int, Any]:
    nodes = [] if trace is None else trace.nodes.values()
    values = [site["value"] for site in nodes if site["type"] == "param"]
    leaves = [getattr(value, "unconstrained", lambda value=value: value)() for value in values]
    program = underlying(program)
    leaves += program.parameters() if isinstance(program, nn.Module) else []
    return {id(leaf): leaf for leaf in leaves}


def rename(module: PyroModule, name: str) -> None:
    """Set the name of a module, and of the modules in it, in Pyro's parameter store."""
    module._pyro_name = name
    for key, child in module.named_children():
        if isinstance(child, PyroModule):
            rename(child, f"{name}.{key}")


def underlying(program: Callable[..., Any]) -> Any:
    """Return the program inside Pyro handlers such as ``poutine.scale(model, 0.5)``."""
    return unwrap(program)


def program_name(program: Any) -> str:
    """Return the name of a program for messages."""
    program = underlying(program)
    return str(getattr(program, "__name__", type(program).__name__))
