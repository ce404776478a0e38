"""Sums over all paths of Markov chains in Pyro programs.

Given its path, the tokens of a sentence are independent. Their probabilities at every source
position are those of a run of the program for each position ``s``, with the path that stays at
``s``; the forward algorithm then sums over all paths. All these runs are one, enumerated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_align.distributions import MarkovChain, categorical_kl
from pyro_align.inference.traces import SiteHandler, Traces


class StayingPaths(TorchDistribution):
    """The paths of a chain that stay at one position, in place of all its paths.

    Args:
        chain: the distribution of all paths.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_enumerate_support = True

    def __init__(self, chain: MarkovChain):
        self.chain = chain
        super().__init__(chain.batch_shape, chain.event_shape, validate_args=False)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> constraints.Constraint:
        """Paths of positions."""
        return self.chain.support

    def expand(self, batch_shape: Any, _instance: Any = None) -> StayingPaths:
        """Return the same for the chain expanded to a batch shape."""
        return StayingPaths(self.chain.expand(batch_shape))

    def sample(self, sample_shape: Any = torch.Size()) -> Int[Tensor, "*shape t"]:  # noqa: B008
        """Sample a path of the chain, to run the program once without enumeration."""
        return self.chain.sample(sample_shape)

    def enumerate_support(self, expand: bool = True) -> Int[Tensor, "s *batch 1"]:
        """Return a path for each position, of length 1, which is broadcast to all steps."""
        positions = torch.arange(self.chain.initial.shape[-1], device=self.chain.initial.device)
        return positions.reshape(-1, *(1 for _ in self.batch_shape), 1)

    def log_prob(self, value: Int[Tensor, "*value t"]) -> Float[Tensor, "*shape"]:
        """Return zero: these paths stand for places, not for events."""
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        return self.chain.initial.new_zeros(shape)


def staying(program: Callable[..., Any]) -> Callable[..., Any]:
    """Replace a Markov chain of alignments by :class:`StayingPaths`, to be enumerated."""

    def replace(msg: Any) -> None:
        if isinstance(msg["fn"], MarkovChain):
            msg["fn"] = StayingPaths(msg["fn"])

    handled: Callable[..., Any] = SiteHandler(replace)(program)
    return handled


def chain_of(site: Any) -> MarkovChain | None:
    """Return the chain of a site that was enumerated by its positions; None for other sites."""
    return site["fn"].chain if isinstance(site["fn"], StayingPaths) else None


def prior_of(traces: Traces) -> MarkovChain | Tensor:
    """Return the prior of the alignments: a chain, or log probabilities, enumerated."""
    chain = chain_of(traces.prior)
    return traces.prior["unscaled_log_prob"] if chain is None else chain


def posterior_of(traces: Traces, likelihood: Tensor) -> MarkovChain | Tensor:
    """Return the posterior of the alignments: a chain, or log probabilities, enumerated.

    Args:
        traces: of model and guide.
        likelihood: ``log p(y_t | z_t = s)``, enumerated along the first dimension.
    """
    prior = prior_of(traces)
    if isinstance(prior, MarkovChain):
        return prior.posterior(likelihood_of_chain(prior, likelihood))
    return (prior + likelihood).log_softmax(0)


def divergence(traces: Traces, other: MarkovChain | Tensor) -> Float[Tensor, "batch target"]:
    """Compute the KL divergence of the guide's enumerated alignment from another distribution.

    Args:
        traces: of model and guide.
        other: result of :func:`prior_of` or :func:`posterior_of`.
    """
    if isinstance(other, MarkovChain):
        return traces.alignment["fn"].chain.divergences(other).squeeze(-2)
    return categorical_kl(traces.alignment["unscaled_log_prob"], other, dim=0)


def inclusive_divergence(
    traces: Traces, other: MarkovChain | Tensor
) -> Float[Tensor, "batch target"]:
    """Compute the KL divergence of another distribution from the guide's enumerated alignment.

    Args:
        traces: of model and guide.
        other: result of :func:`prior_of` or :func:`posterior_of`.
    """
    if isinstance(other, MarkovChain):
        return other.divergences(traces.alignment["fn"].chain).squeeze(-2)
    return categorical_kl(other, traces.alignment["unscaled_log_prob"], dim=0)


def marginals(traces: Traces) -> Float[Tensor, "source batch target"]:
    """Compute the probabilities of the guide's alignment, enumerated."""
    if (chain := chain_of(traces.alignment)) is not None:
        return chain.marginals.squeeze(-3).movedim(-1, 0)
    return traces.alignment["unscaled_log_prob"].exp()


def likelihood_of_chain(
    chain: MarkovChain, emission: Float[Tensor, "*#source batch target"]
) -> Float[Tensor, "batch 1 target source"]:
    """Arrange enumerated log probabilities of tokens as an emission of a chain.

    Args:
        chain: of batch shape ``(batch, 1)``.
        emission: ``log p(y_t | z_t = s)``, enumerated along the first dimension; zero on padding.
    """
    shape = (chain.initial.shape[-1], *chain.batch_shape[:-1], *chain.event_shape)
    return emission.expand(shape).movedim(0, -1).unsqueeze(-3)


def joint_with_past(
    chain: MarkovChain, emission: Float[Tensor, "*#source batch target"]
) -> Float[Tensor, "source batch target"]:
    """Compute ``log p(z_t = s, y_t | y_<t)``, which sums to the evidence of each token.

    Args:
        chain: of batch shape ``(batch, 1)``.
        emission: as for :func:`likelihood_of_chain`.
    """
    likelihood = likelihood_of_chain(chain, emission)
    return (chain.predictive(likelihood) + likelihood).squeeze(-3).movedim(-1, 0)
