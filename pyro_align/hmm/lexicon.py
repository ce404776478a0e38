"""`Lexicon`: which words are translations of which, a Dirichlet for each source word."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.hmm.classes import NULL, Classes, spelled_alike


def pair_codes(
    source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"], width: int
) -> Int[Tensor, "*b t s"]:
    """A number for each pair of words; ``width`` is the number of ids of target words."""
    return source.unsqueeze(-2) * width + target.unsqueeze(-1)


@final
class Lexicon:
    r"""Probabilities of target words given a source word, their tables integrated out.

    The table of a source word ``e`` has a Dirichlet prior, :math:`θ_e \sim \text{Dir}(a_e)`. With
    the expected numbers ``n`` of links seen elsewhere, a word is predicted with

    .. math::
        p(f | e) = \frac{n_{ef} + a_{ef}}{\sum_{f'} n_{ef'} + a_{ef'}}.

    Pairs of words that occur together in the text are stored, all others have no count. Words that
    are drawn from nothing have their frequencies.

    Args:
        source: classes of source words.
        target: classes of target words.
        keys: codes of the pairs that occur together, in order, as ``pair_codes`` gives them.
        frequency: how often each target word occurs.
        sparsity: pseudo-count of every pair: the smaller, the fewer translations a word has.
        spelling: pseudo-count of a pair that is spelled the same, and four times that of a pair
            that is so but for one character: names, numbers, cognates.
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
        """Where pairs of words are stored; of a pair that is not, anywhere."""
        places = torch.searchsorted(self.keys, pair_codes(source, target, self.width))
        return places.clamp_max_(len(self.keys) - 1)

    def learn(self, counts: Float[Tensor, " n"]) -> None:
        """Take over expected numbers of links, one for each stored pair."""
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
        """Take over what another lexicon has learnt, whose classes are the first of these.

        The arguments are its attributes. Of pairs that it did not see there is the prior alone;
        their pseudo-counts are not added to the sums of the source words it knows.
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
        """Log probabilities of target words: drawn from nothing (first), or from source words.

        Args:
            source: ids of source words, 0 for padding.
            target: ids of target words, 0 for padding.
            own: expected numbers of links of these very words, which are part of the counts and are
                left out, so that no word is its own evidence.
            places: where the pairs are stored, if :meth:`places` has been asked already.
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
        # One is added to all frequencies, so that no word is impossible.
        null = (self.frequency[target] + 1.0) / (self.frequency.sum() + self.width - 1)
        return torch.cat([null.log().unsqueeze(-1), word], dim=-1)

    def table(self, source: Int[Tensor, "*b"]) -> Float[Tensor, "*b v"]:
        """Probabilities of all target words, given source words; of padding, drawn from nothing."""
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
