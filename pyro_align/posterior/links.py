"""Word links from alignment probabilities."""

from __future__ import annotations

from pyro_align.data.links import Link
from pyro_align.errors import ConfigError
from pyro_align.posterior.words import WordAlignment


def best_links(words: WordAlignment) -> frozenset[Link]:
    """Return the most probable source word of every target word, as links (source, target) from 0.

    A target word has no link if ``null`` is more probable than every source word, or if all its
    probabilities are zero. Ties are resolved in favour of the first source word.
    """
    if not words.weights.numel():
        return frozenset()
    # NumPy takes a third of the time of PyTorch for tables of this size.
    weights, null = words.weights.numpy(force=True), words.null.numpy(force=True)
    sources = weights.argmax(1)
    best = weights.max(1)
    (targets,) = ((best >= null) & (best > 0)).nonzero()
    return frozenset(zip(sources[targets].tolist(), targets.tolist(), strict=True))


def threshold_links(words: WordAlignment, threshold: float) -> frozenset[Link]:
    """Return all links (source, target) with a probability of at least ``threshold``.

    Raises:
        ConfigError: if ``threshold`` is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"a threshold is a probability above 0 and at most 1, got {threshold}")
    pairs = (words.weights >= threshold).nonzero().tolist()
    return frozenset((source, target) for target, source in pairs)
