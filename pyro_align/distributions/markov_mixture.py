"""`MarkovMixture`: a sequence whose components follow a Markov chain that is summed out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from jaxtyping import Bool, Float, Shaped
from pyro.distributions import Categorical, TorchDistribution
from torch import Tensor
from torch.distributions import constraints


@dataclass(frozen=True)
class ChainPosterior:
    """What words say about the chain they were drawn with.

    Attributes:
        log_prob: log probability of the words, all chains summed out.
        states: for each position the probability that its word was drawn from nothing (first) or
            from a state; zeros where the position is not there.
        first: expected numbers of first states, which are probabilities.
        moves: expected numbers of transitions between states.
    """

    log_prob: Float[Tensor, "*batch"]
    states: Float[Tensor, "*batch t one_more"]
    first: Float[Tensor, "*batch s"]
    moves: Float[Tensor, "*batch s s"]


@final
class MarkovMixture(TorchDistribution):
    r"""Words of which each is drawn from one of ``S`` states or from none, the states summed out.

    The generative process of the hidden Markov alignment model (Vogel, Ney & Tillmann 1996) with
    null words (Och & Ney 2003). The chain :math:`s_1, …, s_T` of source positions is drawn first.
    Where a word is drawn from nothing, which it is with probability ``null``, the chain stays:

    .. math::
        n_t &\sim \text{Bernoulli}(p_0), \qquad
        s_t = s_{t-1} \text{ if } n_t \text{ else } s_t \sim A(s_{t-1}, \cdot) \\
        y_t &\sim f_0 \text{ if } n_t \text{ else } f_{s_t}

    ``log_prob`` is the forward algorithm, scaled at each step so that nothing underflows, over all
    sentences at once; its gradient is the backward algorithm (Eisner 2016), so that
    :meth:`posterior` needs no second recursion.

    Args:
        initial: log probabilities of the first state.
        transition: log probabilities of the next state (last dimension), given the last one.
        null: probability of a word that is drawn from nothing.
        components: one distribution a position and state over words, batch shape
            ``(*batch, T, 1 + S)``, in front that of words drawn from nothing. Positions may share
            one with ``T = 1`` broadcast.
        mask: positions that are there; what is beyond counts for nothing. None if all are.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = False

    def __init__(
        self,
        initial: Float[Tensor, "*batch s"],
        transition: Float[Tensor, "*batch s s"],
        null: float,
        components: Any,
        mask: Bool[Tensor, "*batch t"] | None = None,
        validate_args: bool | None = None,
    ):
        self.initial = initial
        self.transition = transition
        self.null = null
        self.components = components
        self.mask = mask
        super().__init__(
            components.batch_shape[:-2], components.batch_shape[-2:-1], validate_args=validate_args
        )

    @property
    def support(self) -> constraints.Constraint:
        """Sequences of what the components draw."""
        return constraints.independent(self.components.support, 1)

    def log_prob(self, value: Shaped[Tensor, "*batch t"]) -> Float[Tensor, "*batch"]:
        """Log probability of the words, all chains summed out."""
        return self._forward(self._emission(value), self.initial, self.transition)

    def posterior(self, value: Shaped[Tensor, "*batch t"]) -> ChainPosterior:
        """What the words say about the chain; nothing of it is differentiable."""
        return self.posterior_of(self._emission(value))

    def posterior_of(self, emission: Float[Tensor, "*batch t one_more"]) -> ChainPosterior:
        """What scores say about the chain that stand for the words' log probabilities.

        Args:
            emission: for each position a score of what is drawn from nothing (first), and of what
                is drawn from each state.
        """
        with torch.enable_grad():
            parts = [
                each.detach().requires_grad_() for each in (emission, self.initial, self.transition)
            ]
            log_prob = self._forward(*parts)
            states, first, moves = torch.autograd.grad(log_prob.sum(), parts, allow_unused=True)
        # Where there is one word there are no moves.
        moves = torch.zeros_like(parts[2]) if moves is None else moves
        return ChainPosterior(log_prob.detach(), states, first, moves)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - as torch has it
        """Draw chains, then words; beyond ``mask`` words are drawn as well."""
        with torch.no_grad():
            drawn = self.components.sample(sample_shape)
            first = Categorical(logits=self.initial).sample(sample_shape)
            previous, columns = first, []
            for position in range(self.event_shape[0]):
                null = torch.rand(drawn.shape[:-2]) < self.null
                if position:
                    rows = self.transition.expand(*previous.shape, *self.transition.shape[-2:])
                    index = previous[..., None, None].expand(*previous.shape, 1, rows.shape[-1])
                    moved = Categorical(logits=rows.gather(-2, index).squeeze(-2)).sample()
                    previous = torch.where(null, previous, moved)
                columns.append(torch.where(null, 0, previous + 1))
            states = torch.stack(columns, dim=-1)
            return drawn.gather(-1, states.unsqueeze(-1)).squeeze(-1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> MarkovMixture:
        """A distribution with a larger batch."""
        batch = torch.Size(batch_shape)
        states = self.initial.shape[-1]
        return MarkovMixture(
            self.initial.expand(*batch, states),
            self.transition.expand(*batch, states, states),
            self.null,
            self.components.expand(batch + self.components.batch_shape[-2:]),
            None if self.mask is None else self.mask.expand(batch + self.event_shape),
            validate_args=False,
        )

    def _emission(self, value: Tensor) -> Float[Tensor, "*batch t one_more"]:
        return self.components.log_prob(value.unsqueeze(-1))

    def _forward(self, emission: Tensor, initial: Tensor, transition: Tensor) -> Tensor:
        # The largest of a position is taken out, so that no word has probability 0 throughout.
        largest = emission.detach().amax(-1, keepdim=True).clamp_min(-1e30)
        likelihood = (emission - largest).exp()
        from_null, from_state = likelihood[..., :1], likelihood[..., 1:]
        moves = transition.exp() * (1.0 - self.null)
        first = initial.exp()
        belief: Tensor | None = None
        logs = []
        for position in range(emission.shape[-2]):
            stay = first if belief is None else belief
            move = (
                first * (1.0 - self.null)
                if belief is None
                else (belief.unsqueeze(-2) @ moves).squeeze(-2)
            )
            joint = (
                move * from_state[..., position, :] + self.null * stay * from_null[..., position, :]
            )
            scale = joint.sum(-1, keepdim=True)
            if self.mask is not None:
                here = self.mask[..., position, None]
                joint = torch.where(here, joint, stay)
                scale = torch.where(here, scale, torch.ones_like(scale))
            belief = joint / scale
            logs.append(scale.squeeze(-1).log())
        total = torch.stack(logs, dim=-1)
        shift = largest.squeeze(-1)
        if self.mask is not None:
            shift = shift.masked_fill(~self.mask, 0.0)
        return (total + shift).sum(-1)
