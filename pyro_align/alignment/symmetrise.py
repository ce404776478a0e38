"""Symmetrisation: one set of links from those of two directions.

The heuristics are those of Och & Ney 2003 and Koehn et al. 2003, 2005, and give what Moses'
``symal`` gives, whose order of visits decides where they leave it open: links in order of target,
then source position; neighbours along the axes before diagonal ones; a link added while a sweep
runs is visited by that same sweep if it lies ahead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right, insort
from collections.abc import Callable, Set
from typing import final

from pyro_align.alignment.decoding import Decoder, agreement
from pyro_align.corpus import Link
from pyro_align.posterior import WordAlignment

Heuristic = Callable[[Set[Link], Set[Link]], frozenset[Link]]
"""Links (source, target) from those of the forward direction, in which a target word chooses source
words, and those of the reverse one, in which a source word chooses target words."""

_AXES = ((0, -1), (-1, 0), (0, 1), (1, 0))
_DIAGONALS = ((-1, -1), (1, -1), (-1, 1), (1, 1))


def intersect(forward: Set[Link], reverse: Set[Link]) -> frozenset[Link]:
    """Links of both directions."""
    return frozenset(forward & reverse)


def union(forward: Set[Link], reverse: Set[Link]) -> frozenset[Link]:
    """Links of either direction."""
    return frozenset(forward | reverse)


def grow_diag(forward: Set[Link], reverse: Set[Link]) -> frozenset[Link]:
    """The intersection, and what of the union grows from it.

    As long as there are any, links of the union are added that touch one that is there, diagonally
    too, and have a word that no link has yet.
    """
    return frozenset(_grown(forward, reverse).links)


def grow_diag_final(forward: Set[Link], reverse: Set[Link]) -> frozenset[Link]:
    """:func:`grow_diag`, then the other links that have a word without link."""
    grown = _grown(forward, reverse)
    grown.finish(forward, reverse, lambda source, target: not (source and target))
    return frozenset(grown.links)


def grow_diag_final_and(forward: Set[Link], reverse: Set[Link]) -> frozenset[Link]:
    """:func:`grow_diag`, then the other links of which neither word has a link."""
    grown = _grown(forward, reverse)
    grown.finish(forward, reverse, lambda source, target: not (source or target))
    return frozenset(grown.links)


class _Links:
    """Links so far, and which words they cover."""

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

        ``admits`` is told whether the source and the target word of a link are covered.
        """
        for direction in (forward - reverse, reverse - forward):
            for source, target in sorted(direction, key=_by_target):
                if (source, target) not in self.links and admits(
                    source in self.sources, target in self.targets
                ):
                    self.add((source, target))


def _grown(forward: Set[Link], reverse: Set[Link]) -> _Links:
    grown = _Links(forward & reverse)
    others = forward ^ reverse
    order = sorted(map(_by_target, grown.links))
    near: dict[tuple[int, int], list[Link]] = {}
    growing = True
    while growing:
        growing = False
        place = 0
        while place < len(order):
            here = order[place]
            if here not in near:
                near[here] = _neighbours(here, others)
            for link in near[here]:
                if not (link[0] in grown.sources and link[1] in grown.targets):
                    grown.add(link)
                    insort(order, _by_target(link))
                    growing = True
            place = bisect_right(order, here)
    return grown


def _neighbours(here: tuple[int, int], links: Set[Link]) -> list[Link]:
    """The links that touch one, which is given by target and source."""
    target, source = here
    around = ((source + left, target + up) for left, up in (*_AXES, *_DIAGONALS))
    return [link for link in around if link in links]


def _by_target(link: Link) -> tuple[int, int]:
    return link[1], link[0]


class Symmetrisation(ABC):
    """Links with probabilities from the tables of two directions."""

    @abstractmethod
    def __call__(
        self, forward: WordAlignment, reverse: WordAlignment, decode: Decoder
    ) -> dict[Link, float]:
        """Links (source, target) with their probabilities.

        Args:
            forward: of target words to source words.
            reverse: of source words to target words.
            decode: what chooses links from one table.
        """


@final
class ByLinks(Symmetrisation):
    """Each direction decoded by itself, then a heuristic on the two sets of links.

    A link's probability is the mean of what the two directions give it.
    """

    def __init__(self, heuristic: Heuristic):
        self.heuristic = heuristic

    def __call__(
        self, forward: WordAlignment, reverse: WordAlignment, decode: Decoder
    ) -> dict[Link, float]:
        """Links with their probabilities."""
        turned = frozenset((source, target) for target, source in decode(reverse))
        mean = (forward.weights + reverse.weights.T) / 2
        return with_probabilities(self.heuristic(decode(forward), turned), mean.T.tolist())


@final
class ByProduct(Symmetrisation):
    """The two tables multiplied, then decoded: see :func:`~.decoding.agreement`.

    A link's probability is the product.
    """

    def __call__(
        self, forward: WordAlignment, reverse: WordAlignment, decode: Decoder
    ) -> dict[Link, float]:
        """Links with their probabilities."""
        both = agreement(forward, reverse)
        return with_probabilities(decode(both), both.weights.T.tolist())


def with_probabilities(links: Set[Link], probabilities: list[list[float]]) -> dict[Link, float]:
    """Links in order, each with its probability in a table by source and target word."""
    return {(source, target): probabilities[source][target] for source, target in sorted(links)}


SYMMETRISATIONS: dict[str, Symmetrisation] = {
    "intersect": ByLinks(intersect),
    "union": ByLinks(union),
    "grow-diag": ByLinks(grow_diag),
    "grow-diag-final": ByLinks(grow_diag_final),
    "grow-diag-final-and": ByLinks(grow_diag_final_and),
    "product": ByProduct(),
}
"""Symmetrisations by name."""
