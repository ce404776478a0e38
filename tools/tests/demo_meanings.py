"""Short ways to build meanings by hand."""

from __future__ import annotations

from demo_grammar import english_forms as en
from demo_grammar import lexicon
from demo_grammar import morphology as de
from demo_grammar.meaning import (
    Clause,
    Determiner,
    Name,
    NounPhrase,
    Pronoun,
    Tense,
    Word,
)
from demo_grammar.phrases import THE

PRESENT = ("present", "present")
PERFECT = ("perfect", "past")


def word(table, german: int, english: int, name: str, tag: str | None = None) -> Word:
    """The lexeme that the table lists under a name, in chosen synonyms."""
    (lexeme,) = [x for x in table if x.name == name and (tag is None or tag in x.tags)]
    return Word(lexeme, lexeme.german[german], lexeme.english[english])


def noun(name, articles=THE, *, german=0, english=0, plural=False, adjectives=(), negation=None):
    return NounPhrase(
        word(lexicon.NOUNS, german, english, name_of(name)),
        Determiner(*articles, negation=negation),
        adjectives=tuple(adjectives),
        plural=plural,
    )


def name_of(singular: str) -> str:
    (name,) = [x.name for x in lexicon.NOUNS if x.german[0].singular == singular]
    return name


def verb(infinitive: str, *, german=0, english=0, trait=None) -> Word:
    (lexeme,) = [
        x
        for x in lexicon.VERBS
        if x.german[0].infinitive == infinitive
        and (trait in x.tags if trait else not x.tags & {"exist", "plan"})
    ]
    return Word(lexeme, lexeme.german[german], lexeme.english[english])


def adjective(name: str, english: int = 0) -> Word:
    (lexeme,) = [x for x in lexicon.ADJECTIVES if x.german[0].base == name]
    return Word(lexeme, lexeme.german[0], lexeme.english[english])


def fixed(name: str, tag: str, german: int = 0, english: int = 0) -> Word:
    return word(lexicon.PHRASES, german, english, name, tag)


def person(name: str) -> Name:
    return Name(word(lexicon.NAMES, 0, 0, name))


def pronoun(german: de.GermanPronoun, english: en.EnglishPronoun) -> Pronoun:
    return Pronoun(german, english)


def i():
    return pronoun(de.ICH, en.ME)


def he():
    return pronoun(de.ER, en.HE)


def she():
    return pronoun(de.SIE_SINGULAR, en.SHE)


def clause(verb_word, subject, tense=PRESENT, **rest) -> Clause:
    return Clause(verb_word, subject, Tense(*tense), **rest)


def his(owner):
    return owner.german_pronoun.possessive, owner.english_pronoun.possessive
