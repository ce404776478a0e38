"""Lexemes: what the tables of `words` mean, and which of them go together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Generic, TypeVar

from demo_grammar import english_forms as en
from demo_grammar import morphology as de
from demo_grammar import words

German = TypeVar("German", covariant=True)
English = TypeVar("English", covariant=True)
T = TypeVar("T")

Indexed = tuple[tuple[str, tuple[int, ...]], ...]
"""The words of a fixed phrase, each with the numbers that it shares with its counterparts."""


@dataclass(frozen=True, slots=True, eq=False)
class Lexeme(Generic[German, English]):
    """One meaning with its words on either side; words of a side are synonyms.

    Lexemes are the same only if they are the same object: two lexemes may share a spelling.
    """

    name: str
    tags: frozenset[str]
    german: tuple[German, ...]
    english: tuple[English, ...]
    prepositions: tuple[Preposition, ...] = ()
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Preposition:
    """A pair of prepositions and the case that the German one governs; English may have none."""

    german: str
    english: str
    case: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What a verb needs: its subject and its arguments, as tags of the nouns that fit."""

    subject: tuple[str, ...]
    accusative: tuple[str, ...] = ()
    dative: tuple[str, ...] = ()
    place: tuple[str, ...] = ()
    preposition: Preposition | None = None
    oblique: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Phrase:
    """A side of a fixed phrase; a name has another form (`oblique`) outside the nominative."""

    words: Indexed
    oblique: Indexed


Noun = Lexeme[de.GermanNoun, en.EnglishNoun]
Verb = Lexeme[de.GermanVerb, en.EnglishVerb]
Adjective = Lexeme[de.GermanAdjective, en.EnglishAdjective]
Fixed = Lexeme[Phrase, Phrase]

_CASES: Final = {"acc": de.ACCUSATIVE, "dat": de.DATIVE}
_GOAL_CASES: Final = {"in": de.ACCUSATIVE, "auf": de.ACCUSATIVE, "zu": de.DATIVE, "nach": de.DATIVE}


def _rows(table: str) -> Iterator[tuple[str, str, str]]:
    """Each line's tags, German and English."""
    for line in table.strip().splitlines():
        tags, _, sides = line.rpartition(" : ")
        german, _, english = sides.partition(" | ")
        yield tags.strip(), german.strip(), english.strip()


def _options(text: str, parse: Callable[[str], T]) -> tuple[T, ...]:
    return tuple(parse(option) for option in text.split(" / "))


def _german_noun(text: str) -> de.GermanNoun:
    article, _, rest = text.partition(" ")
    singular, plural = rest.split(", ")
    return de.GermanNoun(
        singular.removesuffix("*"), plural, de.ARTICLES[article], singular.endswith("*")
    )


def _english_noun(text: str) -> en.EnglishNoun:
    singular, _, plural = text.partition(", ")
    return en.EnglishNoun(singular, plural or en.plural(singular))


def _parts(text: str) -> tuple[str, list[str]]:
    """Splits ``head (part, part)``."""
    match = re.fullmatch(r"([^(]+?)(?: \((.*)\))?", text)
    assert match is not None, text
    return match[1], match[2].split(", ") if match[2] else []


def _german_verb(text: str) -> de.GermanVerb:
    head, parts = _parts(text)
    reflexive = head.startswith("sich ")
    prefix, dot, infinitive = head.removeprefix("sich ").rpartition("·")
    auxiliary = "sein" if parts and parts[-1].split()[0] == "ist" else "haben"
    if parts == ["ist"]:
        parts = []
    elif parts:
        parts[-1] = parts[-1].removeprefix("ist ")
    return de.german_verb(
        infinitive, *parts, prefix=prefix if dot else "", auxiliary=auxiliary, reflexive=reflexive
    )


def _english_verb(text: str) -> en.EnglishVerb:
    head, parts = _parts(text)
    base, *particle = head.split()
    return en.english_verb(
        base,
        *parts,
        particle=tuple(word.removeprefix("+") for word in particle),
        movable=any(word.startswith("+") for word in particle),
    )


def _german_adjective(text: str) -> de.GermanAdjective:
    head, _, comparative = text.partition(", ")
    base, stem = _parts(head)
    return de.GermanAdjective(base, stem[0] if stem else base, comparative or None)


def _english_adjective(text: str) -> en.EnglishAdjective:
    base, _, comparative = text.partition(", ")
    return en.EnglishAdjective(base, comparative or None)


def _indexed(text: str) -> Indexed:
    result = []
    for word in text.removeprefix("-").split():
        form, underscore, numbers = word.partition("_")
        numbers = numbers if underscore else "1"
        result.append((form, tuple(int(digit) for digit in numbers if digit != "0")))
    return tuple(result)


def _phrase(text: str) -> Phrase:
    nominative, _, oblique = text.partition(", ")
    return Phrase(_indexed(nominative), _indexed(oblique or nominative))


def _noun_prepositions(tags: list[str]) -> tuple[Preposition, ...]:
    """Static pairs (``in=in``, with the dative) before those of motion (``zu>to``)."""
    static = [tag.split("=") for tag in tags if "=" in tag]
    motion = [tag.split(">") for tag in tags if ">" in tag]
    return (
        *(Preposition(german, english, de.DATIVE) for german, english in static),
        *(Preposition(german, english, _GOAL_CASES[german]) for german, english in motion),
    )


def _frame(text: str) -> Frame:
    subject, *arguments = text.split(" > ")
    frame: dict[str, tuple[str, ...]] = {}
    preposition = None
    for argument in arguments:
        kind, *nouns = argument.split()
        if ":" in kind:
            german, case, english = re.split("[:=]", kind)
            preposition = Preposition(german, english, _CASES[case])
            kind = "oblique"
        frame[{"acc": "accusative", "dat": "dative", "at": "place"}.get(kind, kind)] = tuple(nouns)
    return Frame(tuple(subject.split()), preposition=preposition, **frame)


def _nouns() -> Iterator[Noun]:
    for text, german, english in _rows(words.NOUNS):
        tags = text.split()
        yield Lexeme(
            german.split(" / ")[0],
            frozenset(tags),
            _options(german, _german_noun),
            _options(english, _english_noun),
            prepositions=_noun_prepositions(tags),
        )


def _verbs() -> Iterator[Verb]:
    for text, german, english in _rows(words.VERBS):
        frame, _, traits = text.partition(";")
        yield Lexeme(
            german,
            frozenset(traits.split()) - {"-"},
            _options(german, _german_verb),
            _options(english, _english_verb),
            frame=_frame(frame.strip()),
        )


def _adjectives() -> Iterator[Adjective]:
    for text, german, english in _rows(words.ADJECTIVES):
        yield Lexeme(
            german.split(",")[0],
            frozenset(text.replace(";", " ").split()),
            _options(german, _german_adjective),
            _options(english, _english_adjective),
        )


def _fixed(table: str) -> Iterator[Fixed]:
    for text, german, english in _rows(table):
        tags = text.split()
        # A pattern with a number is one lexeme a number.
        for number_de, number_en in _numbers() if "{n}" in german else [("", "")]:
            yield Lexeme(
                german.format(n=number_de),
                frozenset(tags),
                _options(german.format(n=number_de), _phrase),
                _options(english.format(n=number_en), _phrase),
                prepositions=_noun_prepositions(tags),
            )


def _numbers() -> Iterator[tuple[str, str]]:
    for line in words.NUMBERS.strip().splitlines():
        german, _, english = line.partition(" | ")
        yield german, english


NOUNS: Final = tuple(_nouns())
VERBS: Final = tuple(_verbs())
ADJECTIVES: Final = tuple(_adjectives())
NAMES: Final = tuple(_fixed(words.NAMES))
PHRASES: Final = tuple(_fixed(words.PHRASES))
NUMBERS: Final = tuple(
    Lexeme(
        german,
        frozenset[str](),
        (de.invariant(german, late=True),),
        (en.EnglishDeterminer(english, english),),
    )
    for german, english in _numbers()
)


@cache
def nouns(*tags: str) -> tuple[Noun, ...]:
    """The nouns that carry any of the tags."""
    return tuple(noun for noun in NOUNS if noun.tags.intersection(tags))


@cache
def names(*tags: str) -> tuple[Fixed, ...]:
    """The proper names that carry any of the tags."""
    return tuple(name for name in NAMES if name.tags.intersection(tags))


@cache
def phrases(tag: str) -> tuple[Fixed, ...]:
    """The fixed phrases that carry the tag."""
    return tuple(phrase for phrase in PHRASES if tag in phrase.tags)


@cache
def adjectives(noun: Noun) -> tuple[Adjective, ...]:
    """The adjectives that fit a noun."""
    return tuple(adjective for adjective in ADJECTIVES if adjective.tags & noun.tags)


@cache
def verbs(trait: str) -> tuple[Verb, ...]:
    """The verbs that carry the trait."""
    return tuple(verb for verb in VERBS if trait in verb.tags)
