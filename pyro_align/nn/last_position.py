"""Posterior of the alignment of the last position, given the token that a decoder reads next."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.nn.decoder import Likelihood, Memory
from pyro_align.nn.emissions import expected


@dataclass(frozen=True)
class LastPosition:
    """The last position of a prefix, whose token is not read yet.

    Attributes:
        hidden: its decoder state.
        scores: its attention scores, masked on padding.
    """

    hidden: Float[Tensor, "batch 1 hidden"]
    scores: Float[Tensor, "batch 1 source"]

    def select(self, index: Int[Tensor, " row"]) -> LastPosition:
        """Return rows by index; indices may repeat."""
        return LastPosition(self.hidden[index], self.scores[index])

    def context(
        self, memory: Memory, likelihood: Likelihood, number: int
    ) -> Float[Tensor, "batch 1 annotation"]:
        """Compute the mean annotation given the token of this position.

        It is the expectation under ``p(z | y, y_<t) ∝ softmax(scores) p(y | z)``, the posterior
        attention of Shankar & Sarawagi 2019.

        Args:
            memory: encoded sources.
            likelihood: of the tokens that are read.
            number: which of them is the token of this position.
        """
        joint = self.scores.log_softmax(-1) + likelihood(self.hidden, number)
        return expected(memory.annotations, joint.softmax(-1))
