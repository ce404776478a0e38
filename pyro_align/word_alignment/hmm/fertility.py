"""`Fertility`: a prior on the number of links of each source word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.word_alignment.hmm.types import NULL


def numbers_of(
    links: Float[Tensor, "b t s"],
) -> tuple[Float[Tensor, "b s"], Float[Tensor, "b s"]]:
    """Return the probability that a source word has no link, and its expected number of links.

    Args:
        links: probabilities of links, independent between target words.
    """
    return (1.0 - links).clamp_min_(0.0).prod(1), links.sum(1)


@final
@dataclass(frozen=True)
class Fertility:
    r"""Distribution of the number of links of a source word: zero, or one plus a geometric number.

    .. math::
        ψ_e(0) = π_e, \qquad ψ_e(k) = (1 - π_e)(1 - ρ_e) ρ_e^{k - 1} \quad (k ≥ 1)

    The parameters of a word are integrated out. Their priors are
    :math:`π_e \sim \text{Beta}(aπ, a(1 - π))` and :math:`ρ_e \sim \text{Beta}(aρ, a(1 - ρ))`, where
    ``π`` and ``ρ`` are those of all words.

    The probability of an alignment is multiplied by ``ψ`` of the number of links of each source
    word. The chain does not represent these numbers, so that inference is by mean field: the score
    of a link is increased by its expected contribution, given the probabilities of the links of the
    *other* target words.

    Attributes:
        numbers: of each source word: its occurrences, those without a link, and its links.
        none: ``π``, the probability that a source word has no link.
        more: ``ρ``, the probability of each further link.
        concentration: ``a``.
        power: exponent of ``ψ``, the strength of the prior.
    """

    numbers: Float[Tensor, "3 e"]
    none: float
    more: float
    concentration: float
    power: float = 1.0

    @classmethod
    def learn(
        cls, numbers: Float[Tensor, "3 e"], concentration: float, power: float = 1.0
    ) -> Fertility:
        """Estimate ``π`` and ``ρ`` from expected counts, with uniform priors.

        Args:
            numbers: of each source word: its occurrences, those without a link, and its links.
            concentration: ``a``.
            power: exponent of ``ψ``.
        """
        words, bare, links = numbers[:, NULL + 1 :].double().sum(1).tolist()
        more = (links - (words - bare) + 1.0) / (links + 2.0)
        return cls(numbers, (bare + 1.0) / (words + 2.0), more, concentration, power)

    def scores(
        self, links: Float[Tensor, "b t s"], source: Int[Tensor, "b s"], *, counted: bool = False
    ) -> Float[Tensor, "b t s"]:
        r"""Return the expected contribution of each link to the log probability under the prior.

        .. math::
            E\left[\log \frac{ψ_e(k + 1)}{ψ_e(k)}\right]
            = \log ρ_e + p(k = 0) \log \frac{(1 - π_e)(1 - ρ_e)}{π_e ρ_e}

        times ``power``, where ``k``, the number of links of other target words to the same source
        word, is approximated by a Poisson variable.

        Args:
            links: probabilities of links.
            source: ids of the source words.
            counted: whether the links are part of :attr:`numbers`, and are subtracted.
        """
        words, bare, total = self.numbers[:, source]
        if counted:
            own_bare, own_total = numbers_of(links)
            words = (words - 1.0).clamp_min(0.0)
            bare = torch.minimum((bare - own_bare).clamp_min(0.0), words)
            total = (total - own_total).clamp_min(0.0)
        pseudo = self.concentration
        none = (bare + pseudo * self.none) / (words + pseudo)
        further = (total - (words - bare)).clamp_min(0.0)
        more = (further + pseudo * self.more) / (total + pseudo)
        first = self.power * ((1.0 - none) * (1.0 - more) / none).log()
        again = self.power * more.log()
        others = links.sum(1, keepdim=True) - links
        return others.neg_().exp_().mul_((first - again).unsqueeze(1)).add_(again.unsqueeze(1))
