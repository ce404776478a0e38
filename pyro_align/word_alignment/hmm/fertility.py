"""`Fertility`: a prior on the number of links per source word."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor


@final
@dataclass(frozen=True)
class Fertility:
    r"""Distribution of the number of links of a source word: zero, or one plus a geometric number.

    .. math::
        ψ(0) = π, \qquad ψ(k) = (1 - π)(1 - ρ) ρ^{k - 1} \quad (k ≥ 1)

    The probability of an alignment is multiplied by ``ψ`` of the number of links of each source
    word. The chain does not represent these numbers, so that inference is by mean field: the score
    of a link is increased by its expected contribution, given the probabilities of the links of the
    *other* target words.

    Attributes:
        none: ``π``, the probability that a source word has no link.
        more: ``ρ``, the probability of each further link.
        power: exponent of ``ψ``, the strength of the prior.
    """

    none: float
    more: float
    power: float = 1.0

    @classmethod
    def learn(cls, words: float, bare: float, links: float, power: float = 1.0) -> Fertility:
        """Estimate from expected counts, with uniform priors.

        Args:
            words: number of source words.
            bare: number of source words without a link.
            links: number of links.
            power: exponent of ``ψ``.
        """
        more = (links - (words - bare) + 1.0) / (links + 2.0)
        return cls((bare + 1.0) / (words + 2.0), more, power)

    def scores(self, links: Float[Tensor, "b t s"]) -> Float[Tensor, "b t s"]:
        r"""Return the expected contribution of each link to the log probability under the prior.

        .. math::
            E\left[\log \frac{ψ(k + 1)}{ψ(k)}\right]
            = \log ρ + p(k = 0) \log \frac{(1 - π)(1 - ρ)}{π ρ}

        times ``power``, where ``k``, the number of links of other target words to the same source
        word, is approximated by a Poisson variable.

        Args:
            links: probabilities of links.
        """
        more = self.power * math.log(self.more)
        first = self.power * math.log((1.0 - self.none) * (1.0 - self.more) / self.none)
        others = links.sum(1, keepdim=True) - links
        return others.neg_().exp_().mul_(first - more).add_(more)
