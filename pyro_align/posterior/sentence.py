"""`SentencePosterior`: prior, guide and posterior of the alignment of one sentence pair."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_align.data.links import GoldLinks, Link, links_of_pieces
from pyro_align.errors import ConfigError, UserError, nearest
from pyro_align.posterior.links import best_links, threshold_links
from pyro_align.posterior.words import WordAlignment, merge_pieces

Floats = NDArray[np.floating[Any]]

Units = Literal["pieces", "words"]
"""Unit of a token."""

KINDS = ("prior", "guide", "posterior")
"""Distributions of an alignment, in display order."""

SENTENCE_END = "</s>"
"""Last token of a side, which is not a word: a token aligned to it has no link."""

SUMS = ("log_evidence", "elbo", "kl", "gap", "prior_gap", "information")
"""Quantities per target position that are summed over positions."""

ENTROPIES = ("prior_entropy", "guide_entropy", "posterior_entropy")
"""Entropies per target position, in the order of :data:`KINDS`."""


@dataclass(frozen=True)
class Words:
    """Words of a sentence pair, and the word that each token is a piece of.

    Attributes:
        source: source words.
        target: target words.
        source_index: 0-based word of each source token; −1 for the sentence end.
        target_index: 0-based word of each target token; −1 for the sentence end.
        gold: links between the words, if there are any.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    source_index: tuple[int, ...]
    target_index: tuple[int, ...]
    gold: GoldLinks | None = None

    def links_of_tokens(self) -> GoldLinks | None:
        """Return gold links between tokens: all pieces of a word with all pieces of its partner."""
        if self.gold is None:
            return None
        sure, possible = (
            links_of_pieces(links, self.source_index, self.target_index)
            for links in (self.gold.sure, self.gold.possible)
        )
        return GoldLinks(sure, possible)


@dataclass(frozen=True, kw_only=True, eq=False)
class SentencePosterior:
    """Prior, guide and exact posterior of the alignment of every target position.

    Matrices have a row for each target token, which sums to 1, and a column for each source token.
    For alignments on the simplex (Dirichlet) they are the means; for soft attention the prior is
    the attention weights. Quantities of a target position are in nats.

    Attributes:
        source: source tokens in reading order, ending with :data:`SENTENCE_END`.
        target: target tokens, ending with :data:`SENTENCE_END`.
        prior: ``p(z_t = s | x, y_<t)``, ``[target, source]``.
        guide: ``q(z_t = s | x, y)``; None without a guide.
        posterior: ``p(z_t = s | x, y)``, exact; None if not available.
        log_evidence: ``log p(y_t | x, y_<t)``, ``[target]``.
        prior_entropy: entropy of the prior, ``[target]``.
        elbo: evidence lower bound; None without a guide.
        kl: ``KL(q ‖ p)``; None without a guide.
        gap: ``KL(q ‖ p(z | x, y))``; None without a guide.
        prior_gap: ``KL(p(z | x, y_<t) ‖ p(z | x, y))``; None without an exact posterior.
        information: ``KL(p(z | x, y) ‖ p(z | x, y_<t))``; None without an exact posterior.
        posterior_entropy: entropy of the exact posterior; None if not available.
        concentration_prior: concentrations of a Dirichlet prior, ``[target, source]``, or None.
        concentration_guide: concentrations of a Dirichlet guide, or None.
        gold: links (source, target) between tokens, if any were given.
        words: words that the tokens are pieces of, if known.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    prior: Floats
    guide: Floats | None = None
    posterior: Floats | None = None
    log_evidence: Floats
    prior_entropy: Floats
    elbo: Floats | None = None
    kl: Floats | None = None
    gap: Floats | None = None
    prior_gap: Floats | None = None
    information: Floats | None = None
    posterior_entropy: Floats | None = None
    concentration_prior: Floats | None = None
    concentration_guide: Floats | None = None
    gold: GoldLinks | None = None
    words: Words | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of :data:`KINDS` that are available."""
        return tuple(kind for kind in KINDS if getattr(self, kind) is not None)

    def matrix(self, kind: str) -> Floats:
        """Return the probabilities of one kind, ``[target, source]``.

        Raises:
            ConfigError: if the kind is not available.
        """
        if kind not in self.kinds:
            raise ConfigError(f"this sentence has no {kind!r}: {nearest(kind, self.kinds)}")
        matrix: Floats = getattr(self, kind)
        return matrix

    @property
    def guide_entropy(self) -> Floats | None:
        """Entropy of the guide, ``[target]``; of its mean for alignments on the simplex."""
        return None if self.guide is None else entropy(self.guide)

    def best_links(self, kind: str, threshold: float | None = None) -> frozenset[Link]:
        """Return links (source, target) between tokens, excluding sentence ends.

        Args:
            kind: one of :attr:`kinds`.
            threshold: minimum probability of a link; None for the most probable source token of
                each target token, without a link if that is the sentence end.

        Raises:
            ConfigError: if the kind is not available, or the threshold is not a probability.
        """
        matrix = torch.tensor(self.matrix(kind))[: inner(self.target)]
        columns = inner(self.source)
        alignment = WordAlignment(weights=matrix[:, :columns], null=matrix[:, columns:].sum(1))
        return best_links(alignment) if threshold is None else threshold_links(alignment, threshold)

    def samples(self, kind: str, n: int, seed: int) -> NDArray[Any]:
        """Sample independent alignments.

        Args:
            kind: one of :attr:`kinds`.
            n: number of samples.
            seed: random seed.

        Returns:
            Source positions, integers of shape ``[n, target]``; for alignments on the simplex
            (Dirichlet), floats of shape ``[n, target, source]``.

        Raises:
            ConfigError: if the kind is not available.
        """
        matrix = self.matrix(kind)
        random = np.random.default_rng(seed)
        if (concentration := self._concentration(kind)) is not None:
            return _dirichlet(concentration, n, random)
        cumulative = matrix.cumsum(-1, dtype=np.float64)
        height = random.random((n, len(matrix), 1)) * cumulative[:, -1:]
        # A word without pieces has a row of zeros: its sample is the last position.
        return np.minimum((cumulative <= height).sum(-1), len(self.source) - 1)

    def credible_interval(self, kind: str, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return lower and upper bounds of the weights of a Dirichlet, ``[target, source]`` each.

        The interval is central (equal-tailed), from the Beta marginal of each weight.

        Args:
            kind: ``prior`` or ``guide``.
            level: probability of the interval, between 0 and 1.

        Raises:
            ConfigError: if the kind is not a Dirichlet, or the level is not a probability.
        """
        if not 0 < level < 1:
            raise ConfigError(f"the level must be between 0 and 1, got {level}")
        self.matrix(kind)
        if (concentration := self._concentration(kind)) is None:
            raise ConfigError(
                f"the {kind} has no credible interval: only weights of a Dirichlet have one, "
                f"before tokens are merged to words"
            )
        alone = np.asarray(concentration, dtype=np.float64)
        # Not total minus own: with a single source position rounding would leave a remainder.
        others = alone @ (1 - np.eye(alone.shape[1]))
        tail = (1 - level) / 2
        return _beta_quantile(tail, alone, others), _beta_quantile(1 - tail, alone, others)

    def to_words(self) -> SentencePosterior:
        """Merge subword tokens to words.

        Probabilities are summed over the tokens of a source word and averaged over those of a
        target word; a target word without tokens has a row of zeros. ``log_evidence``, ``elbo``,
        ``kl``, ``gap``, ``prior_gap`` and ``information`` are summed over the tokens of a target
        word, so that sums over the sentence do not change; entropies are those of the merged rows.
        Sentence ends are kept. Concentrations are dropped, because a mean of Dirichlets is not a
        Dirichlet.

        Raises:
            UserError: if the words of the tokens are not known.
        """
        if self.words is None:
            raise UserError(
                "these tokens cannot be merged to words: they are words already, or their words "
                "are not known (pass words= to posterior_of)"
            )
        source, columns = _grouped(self.words.source, self.words.source_index)
        target, rows = _grouped(self.words.target, self.words.target_index)

        def merged(matrix: Floats) -> Floats:
            tensor = torch.tensor(matrix)
            return merge_pieces(tensor, rows, columns, len(target), len(source)).weights.numpy()

        def summed(values: Floats) -> Floats:
            total = np.zeros(len(target))
            np.add.at(total, rows, values)
            return total

        matrices = {kind: merged(self.matrix(kind)) for kind in self.kinds}
        sums = {name: summed(value) for name in SUMS if (value := getattr(self, name)) is not None}
        entropies = {f"{kind}_entropy": entropy(matrix) for kind, matrix in matrices.items()}
        entropies.pop("guide_entropy", None)
        return dataclasses.replace(
            self,
            source=source,
            target=target,
            concentration_prior=None,
            concentration_guide=None,
            gold=self.words.gold,
            words=None,
            **matrices,
            **sums,
            **entropies,
        )

    def _concentration(self, kind: str) -> Floats | None:
        found: Floats | None = getattr(self, f"concentration_{kind}", None)
        return found


def entropy(matrix: Floats) -> NDArray[np.float64]:
    """Compute the entropy of every row, in nats."""
    weights = np.asarray(matrix, dtype=np.float64)
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    return np.abs(-(weights * logs).sum(-1))


def inner(tokens: tuple[str, ...]) -> int:
    """Return the number of tokens without the sentence end."""
    return len(tokens) - (tokens[-1:] == (SENTENCE_END,))


def _grouped(words: tuple[str, ...], index: tuple[int, ...]) -> tuple[tuple[str, ...], list[int]]:
    """Return words and word indices, with the sentence end as an additional word."""
    if -1 not in index:
        return words, list(index)
    return (*words, SENTENCE_END), [len(words) if word < 0 else word for word in index]


def _beta_quantile(
    probability: float, a: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Quantile of each ``Beta(a, b)``; where ``b`` is 0 all probability lies at 1."""
    from scipy.special import betaincinv  # takes a quarter of a second to import

    return np.where(b > 0, betaincinv(a, np.where(b > 0, b, 1.0), probability), 1.0)


def _dirichlet(concentration: Floats, n: int, random: np.random.Generator) -> NDArray[np.float64]:
    alpha = np.broadcast_to(concentration, (n, *concentration.shape)).astype(np.float64)
    # Gamma(a) = Gamma(a + 1) · U^(1/a): in logarithms, where small ones would all underflow.
    log_gamma = (
        np.log(random.standard_gamma(alpha + 1)) - random.standard_exponential(alpha.shape) / alpha
    )
    weights = np.exp(log_gamma - log_gamma.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)
