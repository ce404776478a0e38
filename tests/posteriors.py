"""Alignment posteriors made by hand, for tests of what is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyro_align.data import GoldLinks
from pyro_align.posterior import AlignmentPosterior, SentencePosterior, Words
from pyro_align.posterior.sentence import SUMS, entropy


def matrix(*rows: Sequence[float]) -> Any:
    """Probabilities, a row for each target token."""
    return np.array(rows, dtype=np.float32)


OF_POSTERIOR = ("posterior", "prior_gap", "information", "posterior_entropy")
"""Fields that need an exact posterior."""

WORDS = Words(
    source=("ab", "c"),
    target=("xy", "z"),
    source_index=(0, 0, 1, -1),
    target_index=(0, 0, 1, -1),
    gold=GoldLinks(frozenset({(0, 0)}), frozenset({(1, 1)})),
)
"""Of two words a side, the first in two pieces."""


def by_hand(**changes: Any) -> SentencePosterior:
    """Two words a side, the first in two pieces; every figure small and different."""
    prior = matrix((0.1, 0.2, 0.3, 0.4), (0.5, 0.1, 0.2, 0.2), (0.0, 0.0, 1.0, 0.0), (0.25,) * 4)
    guide = matrix((0.7, 0.1, 0.1, 0.1), (0.3, 0.5, 0.1, 0.1), (0.2, 0.2, 0.6, 0.0), (0, 0, 0, 1))
    posterior = matrix((0.8, 0.2, 0, 0), (0.6, 0.2, 0.1, 0.1), (0, 0.1, 0.9, 0), (0, 0, 0.4, 0.6))
    fields: dict[str, Any] = {
        "source": ("▁a", "b", "▁c", "</s>"),
        "target": ("▁x", "y", "▁z", "</s>"),
        "prior": prior,
        "guide": guide,
        "posterior": posterior,
        "log_evidence": np.array([-1.0, -2.0, -4.0, -8.0]),
        "elbo": np.array([-1.5, -2.25, -4.125, -8.5]),
        "kl": np.array([0.1, 0.2, 0.4, 0.8]),
        "gap": np.array([0.5, 0.25, 0.125, 0.5]),
        "prior_gap": np.array([0.3, 0.6, 0.15, 0.75]),
        "information": np.array([0.25, 0.5, 1.0, 2.0]),
        "prior_entropy": entropy(prior),
        "posterior_entropy": entropy(posterior),
        "gold": WORDS.links_of_tokens(),
        "words": WORDS,
    }
    return SentencePosterior(**{**fields, **changes})


def soft() -> SentencePosterior:
    """Of soft attention: weights and evidence, nothing else."""
    nothing = ("guide", "elbo", "kl", "gap", *OF_POSTERIOR)
    return by_hand(**dict.fromkeys(nothing), gold=None)


def dirichlet() -> SentencePosterior:
    """A Dirichlet prior, and a guide of the same means without concentrations."""
    alpha = matrix((1, 1, 2, 0.2), (5, 3, 1, 1), (0.5, 0.5, 0.5, 0.5), (40, 30, 20, 10))
    mean = alpha / alpha.sum(-1, keepdims=True)
    return by_hand(prior=mean, guide=mean, concentration_prior=alpha, **dict.fromkeys(OF_POSTERIOR))


def random_sentence(source: Sequence[str], target: Sequence[str], seed: int) -> SentencePosterior:
    """Random probabilities of all kinds."""
    random = np.random.default_rng(seed)

    def rows() -> Any:
        return random.dirichlet(np.full(len(source), 0.4), len(target)).astype(np.float32)

    prior, guide, posterior = rows(), rows(), rows()
    return SentencePosterior(
        source=tuple(source),
        target=tuple(target),
        prior=prior,
        guide=guide,
        posterior=posterior,
        **{name: random.normal(size=len(target)) for name in SUMS},
        prior_entropy=entropy(prior),
        posterior_entropy=entropy(posterior),
    )


def some(title: str = "categorical with amortized") -> AlignmentPosterior:
    """Three sentences: by hand, of soft attention, and random in other scripts."""
    other = random_sentence(("日本", "שלום", "$x$", "</s>"), ("<b>", "a_b", "</s>"), 1)
    return AlignmentPosterior([by_hand(), soft(), other], title)
