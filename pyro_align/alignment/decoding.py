"""Decoding: which links to give, from the probabilities of all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from pyro_align.corpus import Link
from pyro_align.errors import ConfigError
from pyro_align.posterior import WordAlignment, best_links, threshold_links


class Decoder(ABC):
    """Chooses links (source, target) from the alignment probabilities of one sentence pair."""

    @abstractmethod
    def __call__(self, words: WordAlignment) -> frozenset[Link]:
        """The links."""


@final
class Argmax(Decoder):
    """The most probable source word of each target word, or none; one link a target word at most.

    See :func:`~pyro_align.posterior.best_links`.
    """

    def __call__(self, words: WordAlignment) -> frozenset[Link]:
        """The links."""
        return best_links(words)


@final
class Threshold(Decoder):
    """Every link that is at least as probable as a threshold (Liang et al. 2006).

    Args:
        threshold: probability above 0 and at most 1.

    Raises:
        ConfigError: for any other number.
    """

    def __init__(self, threshold: float = 0.5):
        if not 0 < threshold <= 1:
            raise ConfigError(
                f"a threshold is a probability above 0 and at most 1, got {threshold}"
            )
        self.threshold = threshold

    def __call__(self, words: WordAlignment) -> frozenset[Link]:
        """The links."""
        return threshold_links(words, self.threshold)


@final
class MinimumRisk(Decoder):
    r"""The links of least expected alignment error rate (minimum Bayes risk).

    Let the true links ``G`` be drawn as the table says: each target word ``j`` has, independently,
    the link to ``i`` with probability ``π_ij``, and none with ``1 − q_j``, ``q_j = Σ_i π_ij``. All
    links are sure, so links ``A`` have the expectation

    .. math::
        E[1 − AER(A)] = E\left[\frac{2 |A ∩ G|}{|A| + |G|}\right]
        = \sum_{(i,j) ∈ A} 2 π_{ij} \; E\left[\frac{1}{|A| + 1 + N_j}\right],

    where ``N_j``, the number of links of the other target words, is Poisson-binomial. For a given
    size ``|A| = k`` this is a sum over the links in ``A``, so the ``k`` links with the largest
    terms are best; and the best of the best of all sizes is the optimum. That is the general
    algorithm for the expected F-measure (Dembczyński et al. 2011), here in closed form because the
    words are independent; within a target word it is a threshold on ``π``. Minimum Bayes risk for
    word alignment: Kumar & Byrne 2002.
    """

    def __call__(self, words: WordAlignment) -> frozenset[Link]:
        """The links."""
        table = words.weights.double().cpu().numpy()
        order = np.argsort(-table, axis=None, kind="stable")
        order = order[table.reshape(-1)[order] > 0]
        cells, of_word = table.reshape(-1)[order], order // max(1, table.shape[1])
        if not len(cells):
            return frozenset()
        linked = np.minimum(table.sum(axis=1), 1.0)
        others = _leave_one_out(linked)

        def best_of(size: int) -> tuple[float, NDArray[np.intp]]:
            """The best links of a size, as places in ``order``, and their expectation."""
            terms = 2.0 * cells * _inverse_totals(others, np.array([size]))[0, of_word]
            chosen = np.argsort(-terms, kind="stable")[:size]
            return float(terms[chosen].sum()), chosen

        # No link at all is right where there is none. Expecting the fraction as the fraction of
        # expectations gives a size near the best.
        best, links = float(np.prod(1.0 - linked)), np.empty(0, dtype=np.intp)
        sums = cells.cumsum()
        likely = int(np.argmax(sums / (np.arange(1, len(cells) + 1) + sums[-1]))) + 1
        value, chosen = best_of(likely)
        if value > best:
            best, links = value, chosen
        # A size can reach no more than its most probable links at the largest factor of any word,
        # and no factor is above 1 / (size + 1): few sizes are left to look at.
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
    """Row ``j``: probabilities of 0, 1, … links of all target words but ``j``."""
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
    """``E[1 / (k + 1 + N_j)]`` for each size ``k`` (row) and target word ``j`` (column)."""
    totals = sizes[:, None] + 1.0 + np.arange(others.shape[1], dtype=np.float64)
    expected: NDArray[np.float64] = np.reciprocal(totals) @ others.T
    return expected


def agreement(forward: WordAlignment, reverse: WordAlignment) -> WordAlignment:
    """Agreement of two directions: the product of their link probabilities (Liang et al. 2006).

    Args:
        forward: of target words to source words.
        reverse: of source words to target words.

    Returns:
        Probabilities that both directions give a link, in the shape of ``forward``; its ``null``
        is the probability that neither links a target word.
    """
    backward: Float[torch.Tensor, "t s"] = reverse.weights.T
    return WordAlignment(
        weights=forward.weights * backward,
        null=forward.null * (1.0 - backward).clamp_min(0.0).prod(dim=1),
    )


DECODERS: dict[str, type[Decoder]] = {
    "argmax": Argmax,
    "threshold": Threshold,
    "mbr": MinimumRisk,
}
"""Decoders by name."""
