"""Symmetrisation: combination of the links of two directions.

The heuristics are those of Och & Ney 2003 and Koehn et al. 2003, 2005. Results equal those of
``symal`` in Moses, including the order of visits, which the papers leave open: links are visited in
the order of target, then source positions; neighbours along the axes before diagonal neighbours; a
link that is added during a sweep is visited in the same sweep if it comes later in the order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right, insort
from collections.abc import Callable, Set
from typing import final

from pyro_align.data import Link
from pyro_align.posterior import WordAlignment
from pyro_align.word_alignment.decoding import Argmax, Decoder, Threshold, agreement, grown_mean

Heuristic = Callable[[Set[Link], Set[Link]], frozenset[Link]]
"""Combines the links (source, target) of the forward direction, in which a source word is selected
for each target word, and of the reverse direction."""

_AROUND = ((0, -1), (-1, 0), (0, 1), (1, 0), (-1, -1), (1, -1), (-1, 1), (1, 1))
"""Offsets (source, target) of neighbours, in the order of visits."""


def intersect(forward: Set[Link], reverse: Set[Link]) -> frozenset[Link]:
    """Links of both directions."""
    return frozenset(forward & reverse)


def union(forward: Set[Link], reverse: Set[Link]) -> frozenset[Link]:
    """Links of either direction."""
    return frozenset(forward | reverse)


def grow_diag(forward: Set[Link], reverse: Set[Link]) -> frozenset[Link]:
    """The intersection, extended by neighbouring links of the union.

    Repeatedly adds links of the union that are adjacent, also diagonally, to an existing link and
    have at least one word without a link.
    """
    return frozenset(_grown(forward, reverse).links)


def grow_diag_final(forward: Set[Link], reverse: Set[Link]) -> frozenset[Link]:
    """:func:`grow_diag`, then the remaining links with at least one word without a link."""
    grown = _grown(forward, reverse)
    grown.finish(forward, reverse, lambda source, target: not (source and target))
    return frozenset(grown.links)


def grow_diag_final_and(forward: Set[Link], reverse: Set[Link]) -> frozenset[Link]:
    """:func:`grow_diag`, then the remaining links with both words without a link."""
    grown = _grown(forward, reverse)
    grown.finish(forward, reverse, lambda source, target: not (source or target))
    return frozenset(grown.links)


class _Links:
    """A set of links and the words that they cover."""

    def __init__(self, links: Set[Link]):
        self.links = set(links)
        self.sources = {source for source, _ in links}
        self.targets = {target for _, target in links}

    def add(self, link: Link) -> None:
        self.links.add(link)
        self.sources.add(link[0])
        self.targets.add(link[1])

    def finish(
        self, forward: Set[Link], reverse: Set[Link], admits: Callable[[bool, bool], bool]
    ) -> None:
        """Add the remaining links of the forward, then of the reverse direction, if admitted.

        ``admits`` is called with whether the source and the target word of a link are covered.
        """
        for direction in (forward - reverse, reverse - forward):
            for source, target in sorted(direction, key=_by_target):
                if (source, target) not in self.links and admits(
                    source in self.sources, target in self.targets
                ):
                    self.add((source, target))


def _grown(forward: Set[Link], reverse: Set[Link]) -> _Links:
    grown = _Links(forward & reverse)
    sources, targets = grown.sources, grown.targets
    # Most links of one direction have both words covered, and can never be added.
    others = [link for link in forward ^ reverse if not (link[0] in sources and link[1] in targets)]
    # For each place (target, source), the neighbours that can be added, in the order of visits.
    near: dict[tuple[int, int], list[Link]] = {}
    for left, up in _AROUND:
        for source, target in others:
            near.setdefault((target - up, source - left), []).append((source, target))
    order = sorted(place for place in map(_by_target, grown.links) if place in near)
    growing = bool(order)
    while growing:
        growing = False
        place = 0
        while place < len(order):
            here = order[place]
            for link in near[here]:
                if not (link[0] in sources and link[1] in targets):
                    grown.add(link)
                    growing = True
                    if (added := _by_target(link)) in near:
                        insort(order, added)
            place = bisect_right(order, here)
    return grown


def _by_target(link: Link) -> tuple[int, int]:
    return link[1], link[0]


class Symmetrisation(ABC):
    """Base class of methods that combine the tables of two directions into links.

    Attributes:
        decoder: decoder that is used unless another is chosen.
    """

    decoder: Decoder = Argmax()

    @abstractmethod
    def __call__(
        self, forward: WordAlignment, reverse: WordAlignment, decode: Decoder
    ) -> dict[Link, float]:
        """Return links (source, target) with their probabilities.

        Args:
            forward: of target words to source words.
            reverse: of source words to target words.
            decode: selects links from a table.
        """


@final
class ByLinks(Symmetrisation):
    """Decodes each direction separately and combines the links with a heuristic.

    The probability of a link is the mean of its probabilities in the two directions.
    """

    def __init__(self, heuristic: Heuristic):
        self.heuristic = heuristic

    def __call__(
        self, forward: WordAlignment, reverse: WordAlignment, decode: Decoder
    ) -> dict[Link, float]:
        """Return links with their probabilities."""
        turned = frozenset((source, target) for target, source in decode(reverse))
        # Few of the probabilities are needed.
        of = forward.weights.numpy(force=True).item
        there = reverse.weights.numpy(force=True).item
        links = sorted(self.heuristic(decode(forward), turned))
        return {(s, t): (of(t, s) + there(s, t)) / 2 for s, t in links}


@final
class ByProduct(Symmetrisation):
    """Multiplies the two tables and decodes the product, see :func:`~.decoding.agreement`.

    The probability of a link is the product of its probabilities in the two directions.
    """

    def __call__(
        self, forward: WordAlignment, reverse: WordAlignment, decode: Decoder
    ) -> dict[Link, float]:
        """Return links with their probabilities."""
        return decoded(agreement(forward, reverse), decode)


@final
class ByGrownMean(Symmetrisation):
    """Combines the two tables into one and decodes it, see :func:`~.decoding.grown_mean`.

    The default decoder takes the links with at least 1/2: those that are more probable than not, if
    either direction is as likely to be right as the other, and their neighbours in one direction.
    """

    decoder = Threshold(0.5)

    def __call__(
        self, forward: WordAlignment, reverse: WordAlignment, decode: Decoder
    ) -> dict[Link, float]:
        """Return links with their probabilities."""
        return decoded(grown_mean(forward, reverse), decode)


def decoded(table: WordAlignment, decode: Decoder) -> dict[Link, float]:
    """Return the links that a decoder chooses from a table, sorted, with their probabilities."""
    of = table.weights.numpy(force=True).item  # few of the probabilities are needed
    return {(s, t): of(t, s) for s, t in sorted(decode(table))}


SYMMETRISATIONS: dict[str, Symmetrisation] = {
    "intersect": ByLinks(intersect),
    "union": ByLinks(union),
    "grow-diag": ByLinks(grow_diag),
    "grow-diag-final": ByLinks(grow_diag_final),
    "grow-diag-final-and": ByLinks(grow_diag_final_and),
    "product": ByProduct(),
    "grow-mean": ByGrownMean(),
}
"""Symmetrisations by name."""

SYMMETRISE = "grow-mean"
"""Default symmetrisation of word aligners."""
