"""Sentence pairs from the name of a random stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from demo_grammar import english, german
from demo_grammar.grammar import Grammar
from demo_grammar.meaning import Sentence, Token
from pyro_align.data.links import Link

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
