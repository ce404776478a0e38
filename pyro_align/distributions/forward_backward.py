"""The forward–backward algorithm for chains that may stay in their state.

All tensors have the batch as last dimension, so that each step is a few operations on long rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor


@final
@dataclass
class ForwardBackward:
    """Sums over the chains of a batch, scaled at each step against underflow.

    At each step the chain moves and the likelihood is multiplied by that of the new state, or it
    stays and the likelihood is multiplied by another factor.

    Attributes:
        first: probabilities of the first state, for all sequences or each.
        moves: weights of the moves between states, for all sequences or each, ``(B, S, S)``.
        leave: factor for moves from each state, or None: the inverse of the sum of its weights; for
            all steps, or each, ``(T, S, B)``.
        arrive: likelihood of moving to each state.
        stay: likelihood of staying.
    """

    first: Float[Tensor, "s one_or_b"]
    moves: Tensor
    leave: Float[Tensor, "*t s b"] | None
    arrive: Float[Tensor, "t s b"]
    stay: Float[Tensor, "t 1 b"]
    _beliefs: list[Tensor] = field(default_factory=list)
    _ahead: list[Tensor] = field(default_factory=list)
    _leaving: list[Tensor] = field(default_factory=list)
    _scales: list[Tensor] = field(default_factory=list)

    def forward(self) -> Float[Tensor, "t b"]:
        """Return the log probability of each step given those before; differentiable."""
        belief = ahead = self.first
        for arrive, stay in zip(self.arrive.unbind(), self.stay.unbind(), strict=True):
            if self._scales:
                leave = self._leave(len(self._scales))
                leaving = belief if leave is None else belief * leave
                ahead = self._turned(self.moves, leaving)
                self._leaving.append(leaving)
            self._beliefs.append(belief)
            self._ahead.append(ahead)
            joint = torch.addcmul(ahead * arrive, belief, stay)
            scale = joint.sum(0, keepdim=True)
            belief = joint / scale
            self._scales.append(scale)
        return torch.cat(self._scales).log()

    def backward(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the posterior after :meth:`forward`; without gradient.

        Returns:
            For each step the probability to stay (index 0) and to move to each state, ``(T, 1 + S,
            B)``; the probabilities of the first state, ``(S, B)``; and the expected numbers of
            moves, in the shape of ``moves``, summed over sequences that share them.
        """
        length, states, batch = self.arrive.shape
        result = self.arrive.new_empty(length, 1 + states, batch)
        counts = torch.zeros_like(self.moves)
        after = torch.ones_like(self._scales[-1]).expand(states, batch)
        turned = self.moves.mT
        for step in reversed(range(length)):
            after = after / self._scales[step]
            stay, arrive = self.stay[step], self.arrive[step] * after
            torch.mul(self._ahead[step], arrive, out=result[step, 1:])
            result[step, 0] = (self._beliefs[step] * after).sum(0) * stay[0]
            if step:
                leaving = self._leaving[step - 1]
                if self.moves.dim() == 2:
                    counts.addmm_(leaving, arrive.T)
                else:
                    counts += leaving.T.unsqueeze(-1) * arrive.T.unsqueeze(-2)
                back = self._turned(turned, arrive)
                leave = self._leave(step)
                if leave is not None:
                    back = back * leave
                after = torch.addcmul(back, after, stay)
            else:
                after = arrive + after * stay
        return result, after * self.first, counts.mul_(self.moves)

    def _leave(self, step: int) -> Float[Tensor, "s b"] | None:
        """Return the factor for moves to the states of a step."""
        return self.leave if self.leave is None or self.leave.dim() == 2 else self.leave[step]

    @staticmethod
    def _turned(moves: Tensor, states: Float[Tensor, "s b"]) -> Float[Tensor, "s b"]:
        """Multiply by the transposed moves."""
        if moves.dim() == 2:
            return moves.T @ states
        return (moves.mT @ states.T.unsqueeze(-1)).squeeze(-1).T
