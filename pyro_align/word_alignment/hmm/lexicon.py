"""`Lexicon`: word translation probabilities that back off to affixes and spelling."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pyro_align.word_alignment.hmm.affixes import AffixTable, look_up, pair_codes
from pyro_align.word_alignment.hmm.settings import Settings
from pyro_align.word_alignment.hmm.spelling import Spelling
from pyro_align.word_alignment.hmm.types import NULL, Types


@final
class Lexicon:
    r"""Probabilities of target words given a source word, with the parameters integrated out.

    The distribution of a source word ``e`` has a Dirichlet prior (a hierarchical Dirichlet, as
    tables of affixes have one too),

    .. math::
        θ_e \sim \text{Dir}(β \, \bar p_e + λ r_e), \qquad
        \bar p_e = \frac{1}{K} \sum_k φ_{c_k(e)}[c_k(\cdot)] \, p(\cdot | c_k(\cdot)),

    where :math:`c_k` are prefixes and suffixes of different lengths
    (:class:`~pyro_align.word_alignment.hmm.AffixTable`), and :math:`r_{ef}` is the probability
    that the words are related by spelling (:class:`~pyro_align.word_alignment.hmm.Spelling`). With
    the expected link counts ``n``, which are also those of the affixes, the predictive probability
    is

    .. math::
        p(f | e) = \frac{n_{ef} + λ r_{ef} + β \, \bar p_e(f)}{\sum_{f'} n_{ef'} + λ r_{ef'} + β}.

    Only pairs of words that co-occur in a sentence pair are stored; all others have count zero and
    are not related. The null word generates target words by their frequencies.

    Args:
        source: source words.
        target: target words.
        keys: sorted codes of co-occurring pairs, see
            :func:`~pyro_align.word_alignment.hmm.affixes.pair_codes`.
        frequency: frequency of each target word.
        spelling: of the words.
        settings: ``concentration`` is β, ``spelling`` is λ.
        prior: pseudo-count λ r of each stored pair, if known; else zeros and :meth:`relate`.
    """

    def __init__(
        self,
        source: Types,
        target: Types,
        keys: Int[Tensor, " n"],
        frequency: Float[Tensor, " v"],
        spelling: Spelling,
        settings: Settings,
        prior: Float[Tensor, " n"],
    ):
        self.width = len(target)
        self.keys = keys
        self.frequency = frequency
        self.spelling = spelling
        self.concentration = settings.concentration
        self._strength = settings.spelling
        self.pairs = keys.div(self.width, rounding_mode="floor"), keys % self.width
        # Add-one smoothing, so that no word has probability zero.
        smoothed = frequency + 1.0
        smoothed[NULL] = 0.0
        self._unigram = smoothed / smoothed.sum()
        self._affixes = [
            AffixTable(length, source, target, self.pairs, smoothed, settings.sparsity)
            for length in settings.affixes
        ]
        self._within = torch.stack([each.within for each in self._affixes], dim=-1)
        self._within *= self.concentration / len(self._affixes)
        self._words = len(source)
        self.prior = prior
        self.learn(torch.zeros(len(keys)))

    def relate(self, pairs: Bool[Tensor, " n"]) -> None:
        """Set the pseudo-counts of stored pairs by their spelling.

        Args:
            pairs: which of the stored pairs.
        """
        if self._strength:
            source, target = (each[pairs] for each in self.pairs)
            self.prior[pairs] = self._strength * self.spelling.related(source, target)
            self.learn(self.counts)

    def places(
        self, source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"]
    ) -> Int[Tensor, "*b t s"]:
        """Return the indices at which pairs are stored; arbitrary for pairs that are not stored."""
        places = torch.searchsorted(self.keys, pair_codes(source, target, self.width))
        return places.clamp_max_(len(self.keys) - 1)

    def learn(self, counts: Float[Tensor, " n"]) -> None:
        """Set the expected link counts, one per stored pair."""
        self.counts = counts
        for each in self._affixes:
            each.learn(counts)
        word = counts + self.prior
        total = torch.zeros(self._words).index_add_(0, self.pairs[0], word)
        # A column for the words and one for each affix: one look-up for a pair finds all.
        self._stored = torch.stack([word, *(each.by_pair for each in self._affixes)], dim=-1)
        self._totals = torch.stack(
            [total + self.concentration, *(each.by_source for each in self._affixes)], dim=-1
        )

    def learn_spelling(self) -> None:
        """Learn the correspondence of characters from the expected link counts."""
        if self._strength:
            self.spelling.learn(*self.pairs, self.counts)
            self.relate(torch.ones_like(self.keys, dtype=torch.bool))

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
            places: result of :meth:`places`, if all pairs are stored; faster.
        """
        pairs = self._look_up(source, target) if places is None else self._stored[places]
        words = self._totals[source].unsqueeze(-3)
        if own is not None:
            pairs = (pairs - own.unsqueeze(-1)).clamp_min_(0.0)
            words = (words - own.unsqueeze(-1)).clamp_min_(1e-9)
        within = self._within[target].unsqueeze(-2)
        affix = (pairs[..., 1:] / words[..., 1:]).mul_(within).sum(-1)
        word = ((pairs[..., 0] + affix) / words[..., 0]).clamp_min_(1e-30).log_()
        null = self._unigram[target].clamp_min(1e-30).log()
        return torch.cat([null.unsqueeze(-1), word], dim=-1)

    def _look_up(
        self, source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"]
    ) -> Float[Tensor, "*b t s columns"]:
        codes = pair_codes(source, target, self.width)
        word = look_up(self.keys, self._stored[:, 0], codes)
        return torch.stack([word, *(each.of(source, target) for each in self._affixes)], dim=-1)

    def table(self, source: Int[Tensor, "*b"]) -> Float[Tensor, "*b v"]:
        """Return probabilities of all target words given source words; for id 0, the null word."""
        different, place = source.unique(return_inverse=True)
        columns = self.log_probs(different, torch.arange(1, self.width)).exp()
        rows = torch.zeros(len(different), self.width)
        rows[:, 1:] = torch.where(different == NULL, columns[:, :1], columns[:, 1:]).T
        return rows[place]
