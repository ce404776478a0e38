"""German wording of phrases: gender, case, number, and prepositions fused with articles."""

from __future__ import annotations

from demo_grammar import morphology as de
from demo_grammar.meaning import (
    Coordination,
    FixedWord,
    Name,
    NounPhrase,
    Phrase,
    Predicate,
    Prepositional,
    Pronoun,
    QuestionPronoun,
    RelativeClause,
    Token,
)

Tokens = list[Token]

COMMA: Token = (",", ())
"""A comma that German has and English has not."""


def fixed(word: FixedWord, *, oblique: bool = False) -> Tokens:
    """Word a fixed phrase or a name."""
    indexed = word.german.oblique if oblique else word.german.words
    return [(form, tuple((word, number) for number in numbers)) for form, numbers in indexed]


def phrase(meaning: Phrase, case: int, behind: list[RelativeClause]) -> Tokens:
    """Word a noun phrase, name or pronoun in a case; a relative clause is left to ``behind``."""
    if isinstance(meaning, NounPhrase):
        return _noun_phrase(meaning, case, behind)
    if isinstance(meaning, Name):
        return fixed(meaning.word, oblique=case != de.NOMINATIVE)
    if isinstance(meaning, Pronoun):
        return [(meaning.german_pronoun.forms[case], (meaning,))]
    if isinstance(meaning, Coordination):
        left = phrase(meaning.left, case, behind)
        return left + fixed(meaning.conjunction) + phrase(meaning.right, case, behind)
    if isinstance(meaning, QuestionPronoun):
        return [(meaning.german[case], (meaning,))]
    return [(de.RELATIVE[case][meaning.head.gender], (meaning,))]


def _noun_phrase(meaning: NounPhrase, case: int, behind: list[RelativeClause]) -> Tokens:
    determiner, gender = meaning.determiner, meaning.gender
    tokens: Tokens = []
    form = determiner.german.forms[case][gender]
    if form:
        nodes = (determiner,) if determiner.negation is None else (determiner, determiner.negation)
        tokens.append((form, nodes))
    ending = determiner.german.endings[case][gender]
    tokens += [(word.german.stem + ending, (word,)) for word in meaning.adjectives]
    tokens.append((meaning.noun.german.form(case, meaning.plural), (meaning.noun,)))
    if meaning.relative is not None:
        behind.append(meaning.relative)
    return tokens


def prepositional(meaning: Prepositional, behind: list[RelativeClause]) -> Tokens:
    """Word a preposition with its phrase, in one word with the definite article where it can."""
    tokens = phrase(meaning.phrase, meaning.preposition.case, behind)
    preposition = meaning.preposition.german
    if isinstance(meaning.phrase, NounPhrase) and meaning.phrase.determiner.german is de.DEFINITE:
        article, nodes = tokens[0]
        contracted = de.CONTRACTIONS.get((preposition, article))
        if contracted is not None:
            return [(contracted, (meaning, *nodes)), *tokens[1:]]
    return [(preposition, (meaning,)), *tokens]


def standard(meaning: Predicate) -> Tokens:
    """Word what something is compared to, which stands behind the verbs."""
    if meaning.standard is None:
        return []
    return [("als", (meaning,)), *phrase(meaning.standard, de.NOMINATIVE, [])]


def predicate(meaning: Predicate) -> Tokens:
    """Word a predicative adjective, with its degree, or its comparative."""
    adjective = meaning.adjective
    if meaning.standard is not None:
        assert adjective.german.comparative is not None
        return [(adjective.german.comparative, (adjective,))]
    degree = [] if meaning.degree is None else fixed(meaning.degree)
    return [*degree, (adjective.german.base, (adjective,))]
