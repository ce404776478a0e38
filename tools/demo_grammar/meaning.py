"""Meanings: the trees from which both sides of a pair are worded.

Every object here is a node with an identity of its own. The German and the English wording emit
*tokens*: a word with the nodes (or parts of nodes) that made it. Two words are linked if they
share one. A node that only one language words makes words without a counterpart.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, Literal

from demo_grammar import english_forms as en
from demo_grammar import lexicon
from demo_grammar import morphology as de
from demo_grammar.lexicon import English, German, Lexeme

Token = tuple[str, tuple[Hashable, ...]]
"""A word and what made it."""


@dataclass(eq=False, slots=True)
class Word(Generic[German, English]):
    """A lexeme with the synonym chosen on either side."""

    lexeme: Lexeme[German, English]
    german: German
    english: English


NounWord = Word[de.GermanNoun, en.EnglishNoun]
VerbWord = Word[de.GermanVerb, en.EnglishVerb]
AdjectiveWord = Word[de.GermanAdjective, en.EnglishAdjective]
FixedWord = Word[lexicon.Phrase, lexicon.Phrase]


@dataclass(eq=False, slots=True)
class Negation:
    """*nicht* with *not*, or *kein*, in which case it stands on a determiner.

    Attributes:
        german: whether German says *nicht*.
        english: whether English says *not*.
    """

    german: bool = True
    english: bool = True


@dataclass(eq=False, slots=True)
class Determiner:
    """An article, a possessive, a number: what stands before the adjectives."""

    german: de.GermanDeterminer
    english: en.EnglishDeterminer
    negation: Negation | None = None


@dataclass(eq=False, slots=True)
class NounPhrase:
    """A noun with what belongs to it."""

    noun: NounWord
    determiner: Determiner
    adjectives: tuple[AdjectiveWord, ...] = ()
    plural: bool = False
    relative: RelativeClause | None = None

    @property
    def gender(self) -> int:
        """German gender, or the plural."""
        return de.PLURAL if self.plural else self.noun.german.gender

    @property
    def german_pronoun(self) -> de.GermanPronoun:
        """The German pronoun that refers to it."""
        return de.BY_GENDER[self.gender]

    @property
    def english_pronoun(self) -> en.EnglishPronoun:
        """The English pronoun that refers to it."""
        if self.plural:
            return en.THEY
        tags = self.noun.lexeme.tags
        return en.HE if "m" in tags else en.SHE if "f" in tags else en.IT


@dataclass(eq=False, slots=True)
class Name:
    """A proper name."""

    word: FixedWord

    @property
    def german_pronoun(self) -> de.GermanPronoun:
        """The German pronoun that refers to it."""
        tags = self.word.lexeme.tags
        return de.ER if "m" in tags else de.SIE_SINGULAR if "f" in tags else de.ES

    @property
    def english_pronoun(self) -> en.EnglishPronoun:
        """The English pronoun that refers to it."""
        tags = self.word.lexeme.tags
        return en.HE if "m" in tags else en.SHE if "f" in tags else en.IT


@dataclass(eq=False, slots=True)
class Pronoun:
    """A personal pronoun."""

    german_pronoun: de.GermanPronoun
    english_pronoun: en.EnglishPronoun


@dataclass(eq=False, slots=True)
class Coordination:
    """Two phrases with *und*."""

    left: NounPhrase | Name
    conjunction: FixedWord
    right: NounPhrase | Name

    @property
    def german_pronoun(self) -> de.GermanPronoun:
        """The German pronoun that refers to both."""
        return de.SIE_PLURAL

    @property
    def english_pronoun(self) -> en.EnglishPronoun:
        """The English pronoun that refers to both."""
        return en.THEY


@dataclass(eq=False, slots=True)
class RelativePronoun:
    """*der, die, das* with *who*, *that*, *which* or, where English drops it, nothing."""

    head: NounPhrase
    english: str

    @property
    def german_pronoun(self) -> de.GermanPronoun:
        """The German pronoun of its head."""
        return self.head.german_pronoun

    @property
    def english_pronoun(self) -> en.EnglishPronoun:
        """The English pronoun of its head."""
        return self.head.english_pronoun


@dataclass(eq=False, slots=True)
class QuestionPronoun:
    """*wer* (or *was*) by case with *who* (or *what*)."""

    german: tuple[str, str, str]
    english: str
    german_pronoun: de.GermanPronoun = de.ER
    english_pronoun: en.EnglishPronoun = en.HE


Phrase = NounPhrase | Name | Pronoun | Coordination | RelativePronoun | QuestionPronoun


@dataclass(eq=False, slots=True)
class Prepositional:
    """A preposition with its phrase."""

    preposition: lexicon.Preposition
    phrase: Phrase


Adverbial = FixedWord | Prepositional


@dataclass(eq=False, slots=True)
class Predicate:
    """What *sein* says of its subject: an adjective, graded or compared."""

    adjective: AdjectiveWord
    degree: FixedWord | None = None
    standard: Phrase | None = None


@dataclass(eq=False, slots=True)
class Profession:
    """A noun that *sein* says of its subject; English has an article there."""

    noun: NounWord


GermanTense = Literal["present", "preterite", "perfect", "future"]
EnglishTense = Literal["present", "progressive", "past", "perfect", "future"]


@dataclass(eq=False, slots=True)
class Tense:
    """The tense on either side; the auxiliaries, where both have one, are counterparts."""

    german: GermanTense
    english: EnglishTense


@dataclass(frozen=True, slots=True, eq=False)
class Modal:
    """A modal verb.

    Attributes:
        german: its forms, or None where German has an adverb (*gern*) instead.
        adverbs: that adverb and its synonyms.
        english: the verb that inflects (*have*), or None for one that does not.
        auxiliary: present and past of one that does not inflect; the past may be empty.
        rest: further words (*like*, *allowed*).
        to: whether an infinitive with *to* follows.
        negatable: whether *nicht* with it means what *not* does.
    """

    german: de.GermanVerb | None
    english: en.EnglishVerb | None = None
    auxiliary: tuple[str, str] = ("", "")
    adverbs: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    to: bool = False
    past: bool = True
    negatable: bool = True


@dataclass(eq=False, slots=True)
class ModalWord:
    """A modal verb in a clause, with the adverb that German may have for it."""

    modal: Modal
    adverb: str = ""


@dataclass(eq=False, slots=True)
class Clause:
    """A verb with its arguments and adverbials.

    The time, comment, front and question elements say where a language departs from its usual
    order: ``german_front`` opens the German clause instead of the subject, ``english_front``
    the English one.
    """

    verb: VerbWord
    subject: Phrase
    tense: Tense
    direct: Phrase | None = None
    recipient: Phrase | None = None
    recipient_last: bool = False
    oblique: Prepositional | None = None
    predicate: Predicate | Profession | None = None
    time: FixedWord | None = None
    time_early: bool = False
    middle: FixedWord | None = None
    manner: FixedWord | None = None
    company: Prepositional | None = None
    place: Adverbial | None = None
    goal: Adverbial | None = None
    comment: FixedWord | None = None
    modal: ModalWord | None = None
    negation: Negation | None = None
    particle: str = ""
    infinitive: Clause | None = None
    content: Subordinate | None = None
    existential: bool = False
    german_front: object = None
    english_front: object = None


@dataclass(eq=False, slots=True)
class Subordinate:
    """A conjunction with its clause."""

    conjunction: FixedWord
    clause: Clause


@dataclass(eq=False, slots=True)
class RelativeClause:
    """A clause about the noun before it; the pronoun stands in one of the clause's places."""

    pronoun: RelativePronoun
    clause: Clause


class Mood(Enum):
    """What a sentence does, and the point that ends it."""

    STATEMENT = "."
    QUESTION = "?"
    REQUEST = "!"


@dataclass(eq=False, slots=True)
class Sentence:
    """A main clause with what is joined to it.

    Attributes:
        main: the main clause.
        mood: what the sentence does.
        before: a subordinate clause that opens the sentence.
        after: a subordinate clause that ends it.
        joined: a second main clause, with *und* or *aber*.
        please: *bitte*, in a request.
    """

    main: Clause
    mood: Mood = Mood.STATEMENT
    before: Subordinate | None = None
    after: Subordinate | None = None
    joined: Subordinate | None = None
    please: FixedWord | None = None


_TABLE: Final = {
    "können": (Modal(de.german_verb("können", "kann", "konnte"), auxiliary=("can", "could")),),
    "müssen": (
        Modal(de.german_verb("müssen", "muss", "musste"), en.HAVE, to=True),
        Modal(
            de.german_verb("müssen", "muss", "musste"),
            auxiliary=("must", ""),
            past=False,
            negatable=False,
        ),
    ),
    "wollen": (
        Modal(de.german_verb("wollen", "will", "wollte"), en.english_verb("want"), to=True),
    ),
    "sollen": (
        Modal(de.german_verb("sollen", "soll", "sollte"), auxiliary=("should", ""), past=False),
    ),
    "dürfen": (
        Modal(de.german_verb("dürfen", "darf", "durfte"), en.BE, rest=("allowed",), to=True),
        Modal(de.german_verb("dürfen", "darf", "durfte"), auxiliary=("may", ""), past=False),
    ),
    "möchten": (
        Modal(
            de.german_verb("möchten", "möchte", "wollte"),
            auxiliary=("would", ""),
            rest=("like",),
            to=True,
            past=False,
        ),
    ),
    "gern": (
        Modal(None, en.english_verb("like"), adverbs=("gern", "gerne"), to=True, negatable=False),
    ),
}
MODALS: Final = tuple(_TABLE.values())
"""The modal verbs, each with its English synonyms."""
