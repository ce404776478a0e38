"""`Lexicon`: word translation probabilities with a Dirichlet prior for each source word."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.word_alignment.hmm.classes import NULL, Classes, spelled_alike


def pair_codes(
    source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"], width: int
) -> Int[Tensor, "*b t s"]:
    """Return a code for each pair of words; ``width`` is the number of target ids."""
    return source.unsqueeze(-2) * width + target.unsqueeze(-1)


@final
class Lexicon:
    r"""Probabilities of target words given a source word, with the parameters integrated out.

    The distribution of a source word ``e`` has a Dirichlet prior,
    :math:`θ_e \sim \text{Dir}(a_e)`. With the expected link counts ``n``, the predictive
    probability is

    .. math::
        p(f | e) = \frac{n_{ef} + a_{ef}}{\sum_{f'} n_{ef'} + a_{ef'}}.

    Only pairs of words that co-occur in a sentence pair are stored; all others have count zero. The
    null word generates target words by their frequencies.

    Args:
        source: classes of source words.
        target: classes of target words.
        keys: sorted codes of co-occurring pairs, see :func:`pair_codes`.
        frequency: frequency of each target word.
        sparsity: pseudo-count of every pair; smaller values give fewer translations per word.
        spelling: additional pseudo-count of pairs with the same spelling (names, numbers,
            cognates); pairs that differ in one character get a quarter of it.
    """

    def __init__(
        self,
        source: Classes,
        target: Classes,
        keys: Int[Tensor, " n"],
        frequency: Float[Tensor, " v"],
        *,
        sparsity: float,
        spelling: float,
    ):
        self.width = len(target)
        self.sparsity = sparsity
        self.keys = keys
        self.frequency = frequency
        self.sources = keys.div(self.width, rounding_mode="floor")
        pairs = torch.stack([self.sources, keys % self.width], dim=1)
        equal, near = spelled_alike(source, target, pairs)
        self.prior = sparsity + spelling * (equal + 0.25 * near)
        self.prior_total = torch.full((len(source),), sparsity * (self.width - 1)).index_add_(
            0, self.sources, self.prior - sparsity
        )
        self.counts = torch.zeros(len(keys))
        self.totals = torch.zeros(len(source))

    def places(
        self, source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"]
    ) -> Int[Tensor, "*b t s"]:
        """Return the indices at which pairs are stored; arbitrary for pairs that are not stored."""
        places = torch.searchsorted(self.keys, pair_codes(source, target, self.width))
        return places.clamp_max_(len(self.keys) - 1)

    def learn(self, counts: Float[Tensor, " n"]) -> None:
        """Set the expected link counts, one per stored pair."""
        self.counts = counts
        self.totals = torch.zeros_like(self.totals).index_add_(0, self.sources, counts)

    def take_over(
        self,
        keys: Int[Tensor, " m"],
        counts: Float[Tensor, " m"],
        totals: Float[Tensor, " e"],
        prior_total: Float[Tensor, " e"],
        frequency: Float[Tensor, " f"],
    ) -> None:
        """Copy the counts of another lexicon, whose classes are the first classes of this one.

        The arguments are its attributes. Pairs that it does not have keep the prior only; their
        pseudo-counts are not added to the totals of the source words that it has.
        """
        words = self.keys % self.width
        known = (self.sources < len(totals)) & (words < len(frequency))
        wanted = torch.where(known, self.sources * len(frequency) + words, 0)
        places = torch.searchsorted(keys, wanted).clamp_max(len(keys) - 1)
        self.counts = torch.where(known & (keys[places] == wanted), counts[places], 0.0)
        self.totals[: len(totals)] = totals
        self.prior_total[: len(totals)] = prior_total
        self.frequency[: len(frequency)] = frequency

    def log_probs(
        self,
        source: Int[Tensor, "*b s"],
        target: Int[Tensor, "*b t"],
        own: Float[Tensor, "*b t s"] | None = None,
        places: Int[Tensor, "*b t s"] | None = None,
    ) -> Float[Tensor, "*b t one_more"]:
        """Return log probabilities of target words given the null word (first) and source words.

        Args:
            source: ids of source words, 0 for padding.
            target: ids of target words, 0 for padding.
            own: expected link counts of these same words, to subtract from the counts.
            places: result of :meth:`places`, if already computed.
        """
        places = self.places(source, target) if places is None else places
        known = self.keys[places] == pair_codes(source, target, self.width)
        links = self.counts[places].masked_fill_(~known, 0.0)
        words = self.totals[source].unsqueeze(-2).expand_as(links)
        if own is not None:
            links = (links - own).clamp_min_(0.0)
            words = (words - own).clamp_min_(0.0)
        prior = self.prior[places].masked_fill_(~known, self.sparsity)
        word = links.add_(prior).log_()
        word = word - words.add(self.prior_total[source].unsqueeze(-2)).log_()
        # Add-one smoothing, so that no word has probability zero.
        null = (self.frequency[target] + 1.0) / (self.frequency.sum() + self.width - 1)
        return torch.cat([null.log().unsqueeze(-1), word], dim=-1)

    def table(self, source: Int[Tensor, "*b"]) -> Float[Tensor, "*b v"]:
        """Return probabilities of all target words given source words; for id 0, the null word."""
        different, place = source.unique(return_inverse=True)
        rows = torch.full((len(different), self.width), self.sparsity)
        for row, word in enumerate(different.tolist()):
            begin, end = torch.searchsorted(self.sources, torch.tensor([word, word + 1])).tolist()
            rows[row, self.keys[begin:end] % self.width] = (
                self.counts[begin:end] + self.prior[begin:end]
            )
        rows[different == NULL] = self.frequency + 1.0
        rows[:, NULL] = 0.0
        return (rows / rows.sum(-1, keepdim=True))[place]
