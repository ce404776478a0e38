"""Decoding: selection of links from alignment probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from pyro_align.data import Link
from pyro_align.errors import ConfigError
from pyro_align.posterior import WordAlignment, best_links, threshold_links


class Decoder(ABC):
    """Selects links (source, target) from the alignment probabilities of one sentence pair."""

    @abstractmethod
    def __call__(self, words: WordAlignment) -> frozenset[Link]:
        """Return the links."""


@final
class Argmax(Decoder):
    """The most probable source word of each target word, or none; at most one link each.

    See :func:`~pyro_align.posterior.best_links`.
    """

    def __call__(self, words: WordAlignment) -> frozenset[Link]:
        """Return the links."""
        return best_links(words)


@final
class Threshold(Decoder):
    """All links whose probability is at least a threshold (Liang et al. 2006).

    Args:
        threshold: probability above 0 and at most 1.

    Raises:
        ConfigError: if the threshold is out of range.
    """

    def __init__(self, threshold: float = 0.5):
        if not 0 < threshold <= 1:
            raise ConfigError(
                f"a threshold is a probability above 0 and at most 1, got {threshold}"
            )
        self.threshold = threshold

    def __call__(self, words: WordAlignment) -> frozenset[Link]:
        """Return the links."""
        return threshold_links(words, self.threshold)


@final
class MinimumRisk(Decoder):
    r"""The links that minimise the expected alignment error rate (minimum Bayes risk).

    The true links ``G`` are distributed as in the table: each target word ``j`` independently has a
    link to ``i`` with probability ``π_ij``, and none with ``1 − q_j``, ``q_j = Σ_i π_ij``. All
    links are sure, so that for links ``A``

    .. math::
        E[1 − AER(A)] = E\left[\frac{2 |A ∩ G|}{|A| + |G|}\right]
        = \sum_{(i,j) ∈ A} 2 π_{ij} \; E\left[\frac{1}{|A| + 1 + N_j}\right],

    where ``N_j``, the number of links of the other target words, is Poisson-binomial. For a given
    size ``|A| = k`` this is a sum over the links in ``A``, so that the ``k`` links with the largest
    terms are optimal; the overall optimum is the best over all sizes. This is the general algorithm
    for the expected F-measure (Dembczyński et al. 2011), in closed form because the words are
    independent. For minimum Bayes risk in word alignment see Kumar & Byrne 2002.
    """

    def __call__(self, words: WordAlignment) -> frozenset[Link]:
        """Return the links."""
        table = words.weights.double().cpu().numpy()
        order = np.argsort(-table, axis=None, kind="stable")
        order = order[table.reshape(-1)[order] > 0]
        cells, of_word = table.reshape(-1)[order], order // max(1, table.shape[1])
        if not len(cells):
            return frozenset()
        linked = np.minimum(table.sum(axis=1), 1.0)
        others = _leave_one_out(linked)

        def best_of(size: int) -> tuple[float, NDArray[np.intp]]:
            """Return the optimal expectation for a size, and the links as indices of ``order``."""
            terms = 2.0 * cells * _inverse_totals(others, np.array([size]))[0, of_word]
            chosen = np.argsort(-terms, kind="stable")[:size]
            return float(terms[chosen].sum()), chosen

        # The empty set is correct if there are no links. The ratio of expectations approximates
        # the expected ratio and gives a size close to the optimum.
        best, links = float(np.prod(1.0 - linked)), np.empty(0, dtype=np.intp)
        sums = cells.cumsum()
        likely = int(np.argmax(sums / (np.arange(1, len(cells) + 1) + sums[-1]))) + 1
        value, chosen = best_of(likely)
        if value > best:
            best, links = value, chosen
        # An upper bound for each size is the sum of its most probable links times the largest
        # factor of any word, which is at most 1 / (size + 1): few sizes need to be evaluated.
        most = min(len(cells), int(2.0 * sums[-1] / best))
        sizes = np.arange(1, most + 1)
        bounds = 2.0 * sums[:most] * _inverse_totals(others, sizes).max(axis=1)
        for place in np.argsort(-bounds, kind="stable"):
            if bounds[place] <= best:
                break
            value, chosen = best_of(int(sizes[place]))
            if value > best:
                best, links = value, chosen
        targets, sources = np.divmod(order[links], table.shape[1])
        return frozenset(zip(sources.tolist(), targets.tolist(), strict=True))


def _leave_one_out(linked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return in row ``j`` the probabilities of 0, 1, … links of all target words except ``j``."""
    result = np.zeros((len(linked), len(linked)))
    result[:, 0] = 1.0
    for word, probability in enumerate(linked):
        of_others = np.full((len(linked), 1), probability)
        of_others[word] = 0.0
        with_it = result[:, :-1] * of_others
        result *= 1.0 - of_others
        result[:, 1:] += with_it
    return result


def _inverse_totals(others: NDArray[np.float64], sizes: NDArray[np.int_]) -> NDArray[np.float64]:
    """Return ``E[1 / (k + 1 + N_j)]`` for each size ``k`` (row) and target word ``j`` (column)."""
    totals = sizes[:, None] + 1.0 + np.arange(others.shape[1], dtype=np.float64)
    expected: NDArray[np.float64] = np.reciprocal(totals) @ others.T
    return expected


def agreement(forward: WordAlignment, reverse: WordAlignment) -> WordAlignment:
    """Return the product of the link probabilities of two directions (Liang et al. 2006).

    Args:
        forward: of target words to source words.
        reverse: of source words to target words.

    Returns:
        Probabilities that both directions have a link, in the shape of ``forward``; ``null`` is the
        probability that neither direction links a target word.
    """
    backward: Float[torch.Tensor, "t s"] = reverse.weights.T
    return WordAlignment(
        weights=forward.weights * backward,
        null=forward.null * (1.0 - backward).clamp_min(0.0).prod(dim=1),
    )


def grown_mean(forward: WordAlignment, reverse: WordAlignment) -> WordAlignment:
    r"""Return the mean of the link probabilities of two directions, or more next to other links.

    If one direction links two words to the same word, the other can have only one of the two links.
    A link of one direction :math:`f_{ts}` therefore also counts if the other direction has a link
    of the same word to it or to a neighbour of it, as in grow-diag (Koehn et al. 2003):

    .. math::
        p_{ts} = \max\Big(\frac{f_{ts} + r_{st}}{2}, \;
        f_{ts} \sum_{|t' - t| ≤ 1} r_{st'}, \;
        r_{st} \sum_{|s' - s| ≤ 1} f_{ts'}\Big)

    Args:
        forward: of target words to source words, :math:`f`.
        reverse: of source words to target words, :math:`r`.

    Returns:
        Probabilities in the shape of ``forward``; ``null`` is the mean of the probabilities that a
        direction does not link a target word.
    """
    # NumPy takes less time than PyTorch for tables of single sentences.
    one = forward.weights.numpy(force=True)
    other = reverse.weights.numpy(force=True).T
    weights = (one + other) / 2
    np.maximum(weights, one * _near(other), out=weights)
    np.maximum(weights, other * _near(one.T).T, out=weights)
    bare = np.prod(np.maximum(1.0 - other, 0.0), axis=1)
    return WordAlignment(
        weights=torch.from_numpy(weights),
        null=torch.from_numpy((forward.null.numpy(force=True) + bare) / 2),
    )


def _near(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sum of each row and the rows before and after it."""
    total = table.copy()
    total[1:] += table[:-1]
    total[:-1] += table[1:]
    return total


DECODERS: dict[str, type[Decoder]] = {
    "argmax": Argmax,
    "threshold": Threshold,
    "mbr": MinimumRisk,
}
"""Decoders by name."""
