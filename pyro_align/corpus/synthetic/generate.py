"""Sentence pairs from a seed, one at a time or as files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from pyro_align.corpus.links import Link
from pyro_align.corpus.synthetic import english, german
from pyro_align.corpus.synthetic.grammar import Grammar
from pyro_align.corpus.synthetic.meaning import Sentence, Token

SHORTEST: Final = 4
"""Fewest words of a sentence on either side, punctuation included."""
LONGEST: Final = 20
"""Most words of a sentence on either side, punctuation included."""


@dataclass(frozen=True)
class SyntheticPair:
    """A German sentence, its English translation and their gold links.

    Attributes:
        source: German words between single spaces.
        target: English words between single spaces.
        links: 0-based word positions (source, target); all of them are sure.
    """

    source: str
    target: str
    links: frozenset[Link]


def render(meaning: Sentence) -> SyntheticPair:
    """Word a meaning in both languages and link the words that share a node."""
    return _pair(german.sentence(meaning), english.sentence(meaning))


def _pair(source: list[Token], target: list[Token]) -> SyntheticPair:
    places: dict[object, list[int]] = {}
    for place, (_, nodes) in enumerate(source):
        for node in nodes:
            places.setdefault(node, []).append(place)
    links = frozenset(
        (source_place, target_place)
        for target_place, (_, nodes) in enumerate(target)
        for node in nodes
        for source_place in places.get(node, ())
    )
    return SyntheticPair(
        " ".join([word for word, _ in source]), " ".join([word for word, _ in target]), links
    )


def meanings(stream: str) -> Iterator[tuple[Sentence, SyntheticPair]]:
    """Endless meanings with their pairs; a stream's name decides which."""
    # Strings are hashed by SHA-512 into the seed, and Random.random is the same everywhere.
    grammar = Grammar(Random(stream))
    while True:
        meaning = grammar.sentence()
        pair = render(meaning)
        if all(SHORTEST <= side.count(" ") + 1 <= LONGEST for side in (pair.source, pair.target)):
            yield meaning, pair


def draw(stream: str) -> Iterator[SyntheticPair]:
    """Endless pairs; a stream's name decides which."""
    return (pair for _, pair in meanings(stream))


def generate(pairs: int, seed: int) -> Iterator[SyntheticPair]:
    """Draw pairs; the first of many are the same as those of fewer.

    Args:
        pairs: how many.
        seed: any integer; the pairs depend on it alone, on every platform.
    """
    return itertools.islice(draw(f"training {seed}"), pairs)
