"""`Lexicon`: word translation probabilities that back off to affixes and spelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding, pad

from pyro_align.word_alignment.hmm.affixes import AffixTables
from pyro_align.word_alignment.hmm.cells import Cells, greater
from pyro_align.word_alignment.hmm.cooccurrences import WordPairs, blocks
from pyro_align.word_alignment.hmm.processes import in_halves
from pyro_align.word_alignment.hmm.settings import Settings
from pyro_align.word_alignment.hmm.spelling import COMPARED, Spelling
from pyro_align.word_alignment.hmm.types import NULL

BLOCK = 1 << 15
"""Number of pairs whose probabilities are computed at once."""

IMPOSSIBLE = -69.0
"""Log probability of padding."""


@dataclass(frozen=True)
class Unstored:
    """Expected links of pairs of words that a lexicon does not store.

    Attributes:
        totals: of each source word.
        affixes: of each stored pair of affixes, and of all others (last).
    """

    totals: Float[Tensor, " e"]
    affixes: Float[Tensor, " a"]


@final
class Lexicon:
    r"""Probabilities of target words given a source word, with the parameters integrated out.

    The distribution of a source word ``e`` has a Dirichlet prior (a hierarchical Dirichlet, as
    tables of affixes have one too),

    .. math::
        θ_e \sim \text{Dir}(β \, \bar p_e + λ r_e), \qquad
        \bar p_e = \frac{1}{K} \sum_k φ_{c_k(e)}[c_k(\cdot)] \, p(\cdot | c_k(\cdot)),

    where :math:`c_k` are prefixes and suffixes of different lengths
    (:class:`~pyro_align.word_alignment.hmm.AffixTables`), and :math:`r_{ef}` is the probability
    that the words are related by spelling (:class:`~pyro_align.word_alignment.hmm.Spelling`). With
    the expected link counts ``n``, which are also those of the affixes, the predictive probability
    is

    .. math::
        p(f | e) = \frac{n_{ef} + λ r_{ef} + β \, \bar p_e(f)}{\sum_{f'} n_{ef'} + λ r_{ef'} + β}.

    Only pairs of words that co-occur in a sentence pair can be related, all others have ``r = 0``.
    For :meth:`log_probs`, pairs that are not stored have count zero and are not related. Of a text,
    pairs that occur once need not be stored: :meth:`log_probs_of_cells` subtracts the counts of the
    words whose links are inferred, which leaves these pairs with count zero.

    The null word generates target words from a distribution with the prior
    :math:`\text{Dir}(κ f_0)` around their frequencies ``f_0``.

    Args:
        pairs: pairs of words to store.
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
        self.sources = pairs.affixes.source.shape[1]
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
        self._affixes = AffixTables(pairs.affixes, smoothed, settings.sparsity)
        self._within = self._affixes.within * (self.concentration / len(settings.affixes))
        self._earlier = earlier
        # Tables of pairs end with those that are not stored.
        self._prior = pad(prior, (0, 1))
        self._prior_of_others = torch.zeros(self.sources)
        self._of_pairs = torch.full((len(pairs) + 1,), IMPOSSIBLE)
        self.learn(torch.zeros(len(pairs)))

    @property
    def counts(self) -> Float[Tensor, " n"]:
        """Expected number of links of each stored pair."""
        return self._counts[:-1]

    @property
    def prior(self) -> Float[Tensor, " n"]:
        """Pseudo-count λ r of each stored pair."""
        return self._prior[:-1]

    def related(self, source: Int[Tensor, " n"], target: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the pseudo-counts λ r of pairs of words that co-occur."""
        if not self._strength:
            return torch.zeros(len(source))
        return self._strength * self.spelling.related(source, target)

    def relate(
        self,
        places: Int[Tensor, " m"] | None = None,
        others: Float[Tensor, " e"] | None = None,
        processes: int = 1,
    ) -> None:
        """Set the pseudo-counts of stored pairs by their spelling.

        Args:
            places: of the pairs; None for all.
            others: sum of the pseudo-counts of pairs that are not stored, by source word; None to
                leave it.
            processes: 1 or 2.
        """
        if others is not None:
            self._prior_of_others = others
        if places is None:
            places = torch.arange(len(self.pairs), dtype=torch.int32)
        halves = places.tensor_split(2)

        def half(number: int) -> Tensor:
            mine = halves[number]
            parts = blocks(len(mine), COMPARED)
            found = [self.related(*self.pairs.index.sides(mine[part])) for part in parts]
            return torch.cat([torch.empty(0), *found])

        self._prior[places] = torch.cat(in_halves(half, processes))
        self._refresh()

    def learn(
        self,
        counts: Float[Tensor, " n"],
        null: Float[Tensor, " v"] | None = None,
        unstored: Unstored | None = None,
    ) -> None:
        """Set expected counts of the text.

        Args:
            counts: of links, one per stored pair.
            null: of target words that are generated by the null word; None to leave them.
            unstored: links of pairs that are not stored; None for none.
        """
        if null is not None:
            self.null_counts = null
            self._null_total = self._null_prior + null.sum().item()
        self._counts = pad(counts, (0, 1))
        if self._earlier is not None:
            self._counts[:-1] += self._earlier
        totals = torch.zeros(self.sources) if unstored is None else unstored.totals.clone()
        for part in blocks(len(self.pairs)):
            source, _ = self.pairs.index.sides(part)
            totals.index_add_(0, source, self._counts[part])
        self._links_of_source = totals
        further = None if unstored is None else unstored.affixes
        self._affixes.learn(self.pairs, self.counts, totals, further)
        self._refresh()

    def _refresh(self) -> None:
        """Compute what depends on counts and spelling."""
        totals = self._links_of_source + self._prior_of_others
        for part in blocks(len(self.pairs)):
            source, _ = self.pairs.index.sides(part)
            totals.index_add_(0, source, self._prior[part])
        self._totals = totals + self.concentration
        for part in blocks(len(self.pairs), BLOCK):
            self._of_pairs[part] = self._log_probs(
                *self.pairs.index.sides(part),
                self._counts[part],
                self._affixes.of(self.pairs.places[part]),
                self._prior[part],
            )

    @property
    def probabilities(self) -> Float[Tensor, " n"]:
        """Probability of the target word of each stored pair given its source word."""
        return self._of_pairs[:-1].exp()

    def log_probs(
        self, source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"]
    ) -> Float[Tensor, "*b t one_more"]:
        """Return log probabilities of target words given the null word (first) and source words.

        Args:
            source: ids of source words, 0 for padding.
            target: ids of target words, 0 for padding.
        """
        places = self.pairs.index.find(source, target)
        affixes = self._affixes.of(self.pairs.affixes.find(source, target))
        pairs = source.unsqueeze(-2), target.unsqueeze(-1)
        word = self._log_probs(*pairs, self._counts[places], affixes, self._prior[places])
        return self._with_null(target, word)

    def log_probs_of_cells(
        self, cells: Cells, own: Float[Tensor, "b t one_more"] | None = None
    ) -> Float[Tensor, "b t one_more"]:
        """Return log probabilities of a batch of the text, as if all its pairs were stored.

        Args:
            cells: the batch.
            own: expected counts of these same words, to subtract from the counts.
        """
        places, chosen = cells.places.reshape(-1), cells.single
        # Pairs that occur once have no counts but their own.
        counts, affixes, prior = torch.zeros(len(chosen)), cells.affixes, cells.prior
        mine = None
        if own is not None:
            links = own[..., 1:].reshape(-1)
            of_single = links.index_select(0, chosen)
            linked = greater(links.index_fill(0, chosen, 0.0))
            at = places.index_select(0, linked)
            chosen = torch.cat([chosen, linked])
            counts = torch.cat([counts, self._counts.index_select(0, at)])
            affixes = torch.cat([affixes, self.pairs.places.index_select(0, at)])
            prior = torch.cat([prior, self._prior.index_select(0, at)])
            mine = torch.cat([of_single, links.index_select(0, linked)])
        result = self._of_pairs.index_select(0, places)
        source, target = cells.words.at(chosen)
        found = self._log_probs(source, target, counts, self._affixes.of(affixes), prior, mine)
        result.scatter_(0, chosen, found)
        return self._with_null(
            cells.words.target,
            result.view(cells.places.shape),
            None if own is None else own[..., 0],
        )

    def _log_probs(
        self,
        source: Int[Tensor, "*b"],
        target: Int[Tensor, "*b"],
        counts: Float[Tensor, "*b"],
        affixes: Float[Tensor, "*b k"],
        prior: Float[Tensor, "*b"],
        own: Float[Tensor, "*b"] | None = None,
    ) -> Float[Tensor, "*b"]:
        """Return log probabilities of pairs.

        Args:
            source: source words.
            target: target words.
            counts: of the pairs.
            affixes: counts of their affixes, with pseudo-counts; changed in place.
            prior: pseudo-counts of the pairs.
            own: numbers to subtract from all counts; None for 0.
        """
        totals = self._totals.index_select(0, source.reshape(-1)).view(source.shape)
        of_affixes = embedding(source, self._affixes.totals)
        if own is not None:
            counts = (counts - own).clamp_min_(0.0)
            totals.sub_(own).clamp_min_(1e-9)
            # A product of matrices is faster than broadcasting to few columns.
            each, row = own.unsqueeze(-1), torch.ones(1, affixes.shape[-1])
            affixes.addmm_(each, row, alpha=-1.0).clamp_min_(self._affixes.sparsity)
            of_affixes.addmm_(each, row, alpha=-1.0).clamp_min_(1e-9)
        shares = affixes.div_(of_affixes).mul_(embedding(target, self._within))
        numbers = (shares @ torch.ones(shares.shape[-1])).add_(counts).add_(prior)
        return numbers.div_(totals).clamp_min_(1e-30).log_()

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
