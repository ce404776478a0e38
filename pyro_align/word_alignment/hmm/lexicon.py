"""`Lexicon`: word translation probabilities that back off to affixes and spelling."""

from __future__ import annotations

from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding, pad

from pyro_align.word_alignment.hmm.affixes import AffixTable
from pyro_align.word_alignment.hmm.cooccurrences import WordPairs
from pyro_align.word_alignment.hmm.processes import in_halves
from pyro_align.word_alignment.hmm.settings import Settings
from pyro_align.word_alignment.hmm.spelling import Spelling
from pyro_align.word_alignment.hmm.types import NULL

BLOCK = 1 << 15
"""Number of pairs whose probabilities are computed at once."""


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
    are not related. The null word generates target words from a distribution with the prior
    :math:`\text{Dir}(κ f_0)` around their frequencies ``f_0``.

    Args:
        pairs: pairs of words that co-occur.
        frequency: frequency of each target word.
        spelling: of the words.
        settings: ``concentration`` is β, ``spelling`` is λ, ``null_concentration`` is κ.
        prior: pseudo-count λ r of each stored pair, if known; else zeros and :meth:`relate`.
        earlier: numbers of links of each stored pair in other text, which are added to the
            counts; None for none.

    Attributes:
        sources: number of ids of source words, including 0.
        null_counts: expected number of times that the null word generated each target word.
    """

    def __init__(
        self,
        pairs: WordPairs,
        frequency: Float[Tensor, " v"],
        spelling: Spelling,
        settings: Settings,
        prior: Float[Tensor, " n"],
        earlier: Float[Tensor, " n"] | None = None,
    ):
        self.width = len(frequency)
        self.sources = len(pairs.affixes[0].source)
        self.pairs = pairs
        self.frequency = frequency
        self.spelling = spelling
        self.concentration = settings.concentration
        self._strength = settings.spelling
        # Add-one smoothing, so that no word has probability zero.
        smoothed = frequency + 1.0
        smoothed[NULL] = 0.0
        self._of_null = settings.null_concentration * smoothed / smoothed.sum()
        self._null_prior = self._null_total = settings.null_concentration
        self.null_counts = torch.zeros(self.width)
        self._affixes = [
            AffixTable(affixes, smoothed, settings.sparsity) for affixes in pairs.affixes
        ]
        within = torch.stack([each.within for each in self._affixes], dim=-1)
        within *= self.concentration / len(self._affixes)
        self._within = pad(within, (1, 0))  # a column of zeros for the words
        # A column for the words and one for each affix: one look-up for a pair finds all.
        self._stored = torch.empty(len(pairs), 1 + len(self._affixes))
        self._of_pairs = torch.empty(len(pairs))
        self.prior = prior
        self._earlier = earlier
        self.learn(torch.zeros(len(pairs)))

    @property
    def keys(self) -> Int[Tensor, " n"]:
        """Codes of the stored pairs."""
        return self.pairs.source.long() * self.width + self.pairs.target

    def relate(self, pairs: Bool[Tensor, " n"] | None = None, processes: int = 1) -> None:
        """Set the pseudo-counts of stored pairs by their spelling.

        Args:
            pairs: which of the stored pairs; None for all.
            processes: 1 or 2.
        """
        if self._strength:
            chosen: Any = slice(None) if pairs is None else pairs
            source, target = self.pairs.source[chosen], self.pairs.target[chosen]
            sides = source.tensor_split(2), target.tensor_split(2)
            found = in_halves(
                lambda half: self.spelling.related(sides[0][half], sides[1][half]), processes
            )
            self.prior[chosen] = self._strength * torch.cat(found)
            self._refresh()

    def places(
        self, source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"]
    ) -> Int[Tensor, "*b t s"]:
        """Return the indices at which pairs are stored; arbitrary for pairs that are not stored."""
        return self.pairs.index.find(source, target)[0]

    def learn(self, counts: Float[Tensor, " n"], null: Float[Tensor, " v"] | None = None) -> None:
        """Set expected counts of the text.

        Args:
            counts: of links, one per stored pair.
            null: of target words that are generated by the null word; None to leave them.
        """
        if null is not None:
            self.null_counts = null
            self._null_total = self._null_prior + null.sum().item()
        self.counts = counts if self._earlier is None else counts + self._earlier
        for each in self._affixes:
            each.learn(self.counts)
        self._refresh()

    def _refresh(self) -> None:
        """Compute what depends on counts and spelling."""
        word = self.counts + self.prior
        of_affixes = [each.by_source for each in self._affixes]
        total = torch.zeros_like(of_affixes[0]).index_add_(0, self.pairs.source, word)
        self._stored[:, 0] = word
        for column, each in enumerate(self._affixes, start=1):
            self._stored[:, column] = each.by_pair
        self._totals = torch.stack([total + self.concentration, *of_affixes], dim=-1)
        columns = self.pairs.source, self.pairs.target, self._stored, self._of_pairs
        for *part, result in zip(*(each.split(BLOCK) for each in columns), strict=True):
            result.copy_(self._log_probs(*part))

    @property
    def probabilities(self) -> Float[Tensor, " n"]:
        """Probability of the target word of each stored pair given its source word."""
        return self._of_pairs.exp()

    def learn_spelling(self, processes: int = 1) -> None:
        """Learn the correspondence of characters from the expected link counts.

        Args:
            processes: 1 or 2.
        """
        if self._strength:
            self.spelling.learn(self.pairs.source, self.pairs.target, self.counts)
            self.relate(processes=processes)

    def log_probs(
        self, source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"]
    ) -> Float[Tensor, "*b t one_more"]:
        """Return log probabilities of target words given the null word (first) and source words.

        Args:
            source: ids of source words, 0 for padding.
            target: ids of target words, 0 for padding.
        """
        places, there = self.pairs.index.find(source, target)
        word = torch.where(there, self._stored[places, 0], 0.0)
        stored = [word, *(each.of(source, target) for each in self._affixes)]
        pairs = source.unsqueeze(-2), target.unsqueeze(-1)
        return self._with_null(target, self._log_probs(*pairs, torch.stack(stored, dim=-1)))

    def log_probs_of_stored(
        self,
        source: Int[Tensor, "*b s"],
        target: Int[Tensor, "*b t"],
        places: Int[Tensor, "*b t s"],
        own: Float[Tensor, "*b t one_more"] | None = None,
    ) -> Float[Tensor, "*b t one_more"]:
        """Return log probabilities as :meth:`log_probs` does, of pairs that are all stored.

        Args:
            source: ids of source words, 0 for padding.
            target: ids of target words, 0 for padding.
            places: result of :meth:`places`.
            own: expected counts of these same words, to subtract from the counts.
        """
        flat = places.reshape(-1)
        word = self._of_pairs.index_select(0, flat)
        if own is not None:
            mine = own[..., 1:].reshape(-1)
            cells = mine.nonzero().squeeze(-1)
            # The words are near in memory, unlike those of the stored pairs.
            source_of = source.unsqueeze(-2).expand(places.shape).reshape(-1)
            target_of = target.unsqueeze(-1).expand(places.shape).reshape(-1)
            word[cells] = self._log_probs(
                source_of.index_select(0, cells),
                target_of.index_select(0, cells),
                self._stored.index_select(0, flat.index_select(0, cells)),
                mine.index_select(0, cells).unsqueeze(-1),
            )
        return self._with_null(
            target, word.view(places.shape), None if own is None else own[..., 0]
        )

    def _log_probs(
        self,
        source: Int[Tensor, "*b"],
        target: Int[Tensor, "*b"],
        stored: Float[Tensor, "*b columns"],
        own: Float[Tensor, "*b 1"] | None = None,
    ) -> Float[Tensor, "*b"]:
        """Return log probabilities of pairs with these counts, apart from their own."""
        words = embedding(source, self._totals)
        if own is not None:
            stored = (stored - own).clamp_min_(0.0)
            words = (words - own).clamp_min_(1e-9)
        shares = stored / words
        affixes = (shares * embedding(target, self._within)) @ torch.ones(shares.shape[-1])
        return affixes.div_(words[..., 0]).add_(shares[..., 0]).clamp_min_(1e-30).log_()

    def _with_null(
        self,
        target: Int[Tensor, "*b t"],
        word: Float[Tensor, "*b t s"],
        own: Float[Tensor, "*b t"] | float | None = None,
    ) -> Float[Tensor, "*b t one_more"]:
        own = 0.0 if own is None else own
        counts = (self.null_counts[target] - own).clamp_min(0.0) + self._of_null[target]
        null = counts / (self._null_total - own)
        return torch.cat([null.clamp_min_(1e-30).log_().unsqueeze(-1), word], dim=-1)

    def table(self, source: Int[Tensor, "*b"]) -> Float[Tensor, "*b v"]:
        """Return probabilities of all target words given source words; for id 0, the null word."""
        different, place = source.unique(return_inverse=True)
        columns = self.log_probs(different, torch.arange(1, self.width)).exp()
        rows = torch.zeros(len(different), self.width)
        rows[:, 1:] = torch.where(different == NULL, columns[:, :1], columns[:, 1:]).T
        return rows[place]
