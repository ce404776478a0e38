"""`Fertility`: how many target words a source word is linked to, a prior on whole alignments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor


@final
@dataclass(frozen=True)
class Fertility:
    r"""Probabilities of the number of links of a source word: none, or one and then some more.

    .. math::
        ψ(0) = π, \qquad ψ(k) = (1 - π)(1 - ρ) ρ^{k - 1} \quad (k ≥ 1)

    The probability of an alignment is multiplied by ``ψ`` of each source word's number of links. A
    chain knows no such numbers, so this is inferred by mean field: the score of a link gets what it
    is expected to add, given how probable the links of the *other* target words are.

    Attributes:
        none: ``π``, the probability that a source word has no link.
        more: ``ρ``, the probability of another link after each one.
        power: that ``ψ`` is raised to, so that the prior says more or less.
    """

    none: float
    more: float
    power: float = 1.0

    @classmethod
    def learn(cls, words: float, bare: float, links: float, power: float = 1.0) -> Fertility:
        """From expected numbers, under uniform priors.

        Args:
            words: source words.
            bare: those without a link.
            links: links of all.
            power: see above.
        """
        more = (links - (words - bare) + 1.0) / (links + 2.0)
        return cls((bare + 1.0) / (words + 2.0), more, power)

    def scores(self, links: Float[Tensor, "b t s"]) -> Float[Tensor, "b t s"]:
        r"""What each link is expected to add to the log probability of the numbers of links.

        .. math::
            E\left[\log \frac{ψ(k + 1)}{ψ(k)}\right]
            = \log ρ + p(k = 0) \log \frac{(1 - π)(1 - ρ)}{π ρ}

        times the power, where ``k``, the number of links of other target words to the same source
        word, is taken as a Poisson variable.

        Args:
            links: probabilities of links.
        """
        more = self.power * math.log(self.more)
        first = self.power * math.log((1.0 - self.none) * (1.0 - self.more) / self.none)
        others = links.sum(1, keepdim=True) - links
        return others.neg_().exp_().mul_(first - more).add_(more)
