"""English inflection: nouns, determiners, adjectives, pronouns and verbs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_SIBILANT = re.compile(r"(s|x|z|ch|sh)$")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")
_SOUNDS_LIKE_VOWEL = re.compile(r"^([aeiou]|hour|honest)")
_SOUNDS_LIKE_CONSONANT = re.compile(r"^(uni|use|eu|one)")


def plural(singular: str) -> str:
    """The regular plural of a noun."""
    if _SIBILANT.search(singular):
        return singular + "es"
    return singular[:-1] + "ies" if _CONSONANT_Y.search(singular) else singular + "s"


def indefinite_article(following: str) -> str:
    """*a* or *an*, by the sound of the word that follows."""
    word = following.lower()
    vowel = _SOUNDS_LIKE_VOWEL.search(word) and not _SOUNDS_LIKE_CONSONANT.search(word)
    return "an" if vowel else "a"


@dataclass(frozen=True, slots=True)
class EnglishNoun:
    """A noun of one word or, as a compound, of several."""

    singular: str
    plural: str


@dataclass(frozen=True, slots=True)
class EnglishDeterminer:
    """A determiner; ``a`` stands for *a* and *an*, the empty string for none."""

    singular: str
    plural: str


@dataclass(frozen=True, slots=True)
class EnglishAdjective:
    """An adjective and its comparative, of one word or two, or None."""

    base: str
    comparative: str | None


@dataclass(frozen=True, slots=True)
class EnglishPronoun:
    """A personal pronoun as subject, as object and as possessor."""

    subject: str
    object: str
    possessive: EnglishDeterminer


def _pronoun(subject: str, object_: str, possessive: str) -> EnglishPronoun:
    return EnglishPronoun(subject, object_, EnglishDeterminer(possessive, possessive))


ME: Final = _pronoun("I", "me", "my")
YOU: Final = _pronoun("you", "you", "your")
HE: Final = _pronoun("he", "him", "his")
SHE: Final = _pronoun("she", "her", "her")
IT: Final = _pronoun("it", "it", "its")
WE: Final = _pronoun("we", "us", "our")
THEY: Final = _pronoun("they", "them", "their")

BY_SEX: Final = {"m": HE, "f": SHE, "n": IT}
"""The pronoun of the third person singular by natural sex."""


@dataclass(frozen=True, slots=True)
class EnglishVerb:
    """A verb's forms and the particle that belongs to it.

    ``present`` and ``past`` are indexed like German persons: I, you, he, we, you, they.
    ``particle`` words follow the verb; ``movable`` ones let a pronoun pass (*picks him up*).
    """

    base: str
    present: tuple[str, ...]
    past: tuple[str, ...]
    participle: str
    ing: str
    particle: tuple[str, ...] = ()
    movable: bool = False


def _third_person(base: str) -> str:
    if base == "have":
        return "has"
    if _SIBILANT.search(base) or base.endswith("o"):
        return base + "es"
    return base[:-1] + "ies" if _CONSONANT_Y.search(base) else base + "s"


def _ed(base: str) -> str:
    if base.endswith("e"):
        return base + "d"
    return base[:-1] + "ied" if _CONSONANT_Y.search(base) else base + "ed"


def _ing(base: str) -> str:
    silent = base.endswith("e") and not base.endswith(("ee", "be"))
    return (base[:-1] if silent else base) + "ing"


def english_verb(
    base: str,
    past: str | None = None,
    participle: str | None = None,
    ing: str | None = None,
    *,
    particle: tuple[str, ...] = (),
    movable: bool = False,
) -> EnglishVerb:
    """Build a verb from its principal parts; parts that are not given are regular."""
    past = past or _ed(base)
    if base == "be":
        present = ("am", "are", "is", "are", "are", "are")
        pasts = ("was", "were", "was", "were", "were", "were")
    else:
        present = (base, base, _third_person(base), base, base, base)
        pasts = (past,) * 6
    return EnglishVerb(
        base, present, pasts, participle or past, ing or _ing(base), particle, movable
    )


BE: Final = english_verb("be", "was", "been")
HAVE: Final = english_verb("have", "had", "had")
DO: Final = english_verb("do", "did", "done")
