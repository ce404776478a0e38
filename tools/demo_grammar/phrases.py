"""Random noun phrases and adverbials that make sense."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, TypeVar

from demo_grammar import english_forms as en
from demo_grammar import lexicon
from demo_grammar import morphology as de
from demo_grammar.lexicon import English, German, Lexeme, Preposition
from demo_grammar.meaning import (
    AdjectiveWord,
    Adverbial,
    Coordination,
    Determiner,
    FixedWord,
    Name,
    NounPhrase,
    NounWord,
    Phrase,
    Prepositional,
    Pronoun,
    Word,
)

T = TypeVar("T")
Articles = tuple[de.GermanDeterminer, en.EnglishDeterminer]

_NONE = de.invariant("", late=True)
_KEIN = de.ein_word("kein", late=True)
THE: Final = (de.DEFINITE, en.EnglishDeterminer("the", "the"))
A: Final = (de.ein_word("ein", late=True), en.EnglishDeterminer("a", ""))
BARE: Final = (_NONE, en.EnglishDeterminer("", ""))
THIS: Final = (de.der_word("dies"), en.EnglishDeterminer("this", "these"))
EVERY: Final = (de.der_word("jed"), en.EnglishDeterminer("every", ""))
ALL: Final = (de.der_word("all"), en.EnglishDeterminer("", "all the"))
MANY: Final = (
    de.der_word("viel", late=True, strong_adjective=True),
    en.EnglishDeterminer("", "many"),
)
SOME: Final = (
    de.der_word("einig", late=True, strong_adjective=True),
    en.EnglishDeterminer("", "some"),
)
NO: Final = (_KEIN, en.EnglishDeterminer("no", "no"))
NOT_A: Final = (_KEIN, en.EnglishDeterminer("a", ""))
NOT_ANY: Final = (
    (_KEIN, en.EnglishDeterminer("", "")),
    (_KEIN, en.EnglishDeterminer("any", "any")),
)

SPEAKERS: Final = (
    (de.ICH, en.ME),
    (de.DU, en.YOU),
    (de.ER, en.HE),
    (de.SIE_SINGULAR, en.SHE),
    (de.WIR, en.WE),
    (de.IHR, en.YOU),
    (de.SIE_PLURAL, en.THEY),
    (de.SIE_POLITE, en.YOU),
)
_OFTEN: Final = tuple(SPEAKERS[i] for i in (0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 6, 7))
_SECOND_PERSON: Final = (de.DU, de.IHR, de.SIE_POLITE)
_FIRST_PERSON: Final = (de.ICH, de.WIR)
_COLOURS: Final = frozenset({"rot", "blau", "grün", "schwarz", "weiß"})
_SINGLE: Final = frozenset({"mass", "unique", "one"})
_NOBODYS: Final = frozenset({"adult", "job", "outdoors", "building", "public"})
_WITH: Final = Preposition("mit", "with", de.DATIVE)
_NEAR: Final = (
    Preposition("vor", "in front of", de.DATIVE),
    Preposition("hinter", "behind", de.DATIVE),
    Preposition("neben", "next to", de.DATIVE),
)


def _genitive(name: lexicon.Fixed) -> Articles:
    german, english = name.german[0].words[0][0], name.english[0].words[0][0]
    form = f"{english} 's"
    return de.invariant(f"{german}s"), en.EnglishDeterminer(form, form)


_OWNERS: Final = tuple(name for name in lexicon.names("person") if "title" not in name.tags)
_GENITIVES: Final = {name: _genitive(name) for name in _OWNERS}


class Phrases:
    """Draws phrases from a source of randomness.

    Only ``Random.random`` is used, whose stream Python promises never to change.
    """

    def __init__(self, random: Random):
        self._random = random.random

    def chance(self, probability: float) -> bool:
        """Whether an event of this probability happens."""
        return self._random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, each as likely."""
        return options[int(self._random() * len(options))]

    def word(self, lexeme: Lexeme[German, English]) -> Word[German, English]:
        """A lexeme in one of its wordings on either side."""
        return Word(lexeme, self.pick(lexeme.german), self.pick(lexeme.english))

    def fixed(self, tag: str) -> FixedWord:
        """A fixed phrase with the tag."""
        return self.word(self.pick(lexicon.phrases(tag)))

    def pronoun(self) -> Pronoun:
        """A personal pronoun for a person."""
        return Pronoun(*self.pick(_OFTEN))

    def name(self, *tags: str) -> Name:
        """A proper name."""
        return Name(self.word(self.pick(lexicon.names(*tags))))

    def subject(self, tags: tuple[str, ...], *, known: bool = False) -> Phrase:
        """A phrase that does what a verb says; ``known`` if it must not bring something new."""
        if "person" in tags and self.chance(0.85 if "animal" in tags else 1.0):
            kind = self._random()
            if kind < 0.34:
                return self.pronoun()
            if kind < 0.53:
                return self.name("person")
            if kind < 0.58:
                return self.couple()
            tags = ("person",)
        return self.noun_phrase(tags, known=known, agent=True)

    def couple(self) -> Coordination:
        """Two people."""
        left, right = self.name("person"), self.name("person")
        while right.word.lexeme is left.word.lexeme:
            right = self.name("person")
        conjunction = self.fixed("and")
        if self.chance(0.4):
            kin = self.noun_phrase(("kin",), known=True, plain=True)
            kin.determiner = Determiner(
                left.german_pronoun.possessive, left.english_pronoun.possessive
            )
            return Coordination(left, conjunction, kin)
        return Coordination(left, conjunction, right)

    def object(self, tags: tuple[str, ...], subject: Phrase, *, known: bool = False) -> Phrase:
        """A phrase that something is done to, other than the subject."""
        if "person" in tags:
            if self.chance(0.2):
                pronoun = self.pronoun()
                if not _same_party(pronoun, subject):
                    return pronoun
            elif self.chance(0.2):
                name = self.name("person")
                if not _mentions(subject, name.word.lexeme):
                    return name
        phrase = self.noun_phrase(tags, owner=subject, known=known)
        while _mentions(subject, phrase.noun.lexeme):
            phrase = self.noun_phrase(tags, owner=subject, known=known)
        return phrase

    def noun_phrase(
        self,
        tags: tuple[str, ...],
        *,
        owner: Phrase | None = None,
        known: bool = False,
        agent: bool = False,
        plain: bool = False,
    ) -> NounPhrase:
        """A noun with its article and adjectives.

        Args:
            tags: kinds of nouns that fit.
            owner: whose thing it may be.
            known: whether it must be definite.
            agent: whether it is a subject, which needs a determiner.
            plain: whether it stays singular and without adjectives.
        """
        noun = self.word(self.pick(lexicon.nouns(*tags)))
        alone = plain or not noun.lexeme.tags.isdisjoint(_SINGLE)
        plural = not alone and self.chance(0.16)
        articles = self._articles(noun, owner, plural, known, agent)
        if plain:
            return NounPhrase(noun, Determiner(*articles))
        if not alone and not known and articles is A and self.chance(0.12):
            plural, articles = True, self._number()
        return NounPhrase(noun, Determiner(*articles), self._adjectives(noun), plural)

    def _number(self) -> Articles:
        number = self.pick(lexicon.NUMBERS)
        return number.german[0], number.english[0]

    def _articles(
        self, noun: NounWord, owner: Phrase | None, plural: bool, known: bool, agent: bool
    ) -> Articles:
        kind = self._random()
        tags = noun.lexeme.tags
        if "unique" in tags:
            return THE
        if "family" in tags or ("kin" in tags and kind < 0.85):
            return self._possessive(owner)
        if "mass" in tags:
            return THE if known or agent or kind < 0.35 else BARE
        if kind < 0.07:
            return THIS
        if kind < 0.2 and not tags & _NOBODYS:
            return self._possessive(owner)
        if known:
            return THE
        if plural:
            if kind < 0.3:
                return self.pick((ALL, MANY, SOME)) if agent else self.pick((MANY, SOME))
            return self._number() if kind < 0.45 else THE if agent or kind < 0.7 else BARE
        if agent and kind < 0.24:
            return EVERY
        return A if kind > (0.85 if agent else 0.62) else THE

    def _possessive(self, owner: Phrase | None) -> Articles:
        kind = self._random()
        if kind < 0.2:
            return self._genitive(owner)
        if owner is not None and kind < 0.8:
            return owner.german_pronoun.possessive, owner.english_pronoun.possessive
        german, english = self.pick(_OFTEN)
        return german.possessive, english.possessive

    def _genitive(self, owner: Phrase | None) -> Articles:
        name = self.pick(_OWNERS)
        if owner is not None and _mentions(owner, name):
            return owner.german_pronoun.possessive, owner.english_pronoun.possessive
        return _GENITIVES[name]

    def _adjectives(self, noun: NounWord) -> tuple[AdjectiveWord, ...]:
        options = lexicon.adjectives(noun.lexeme)
        if not options or not self.chance(0.27):
            return ()
        first = self.word(self.pick(options))
        if self.chance(0.15):
            second = self.word(self.pick(options))
            # Colours stand next to the noun in both languages.
            if second.lexeme.name in _COLOURS and first.lexeme.name not in _COLOURS:
                return (first, second)
        return (first,)

    def place(self, tags: tuple[str, ...] = ("place",)) -> Adverbial:
        """Where something is."""
        if "city" in tags and (len(tags) == 1 or self.chance(0.3)):
            return self._at_name()
        if tags == ("place",):
            if self.chance(0.16):
                return self.fixed("place")
            if self.chance(0.12):
                return self._at(self.pick(_NEAR), ("building",))
        return self._at(None, tags, case=de.DATIVE)

    def _at_name(self) -> Prepositional:
        name = self.name("city")
        return Prepositional(name.word.lexeme.prepositions[0], name)

    def _at(
        self, preposition: Preposition | None, tags: tuple[str, ...], case: int | None = None
    ) -> Prepositional:
        phrase = self.noun_phrase(tags, known=True, plain=True)
        if self.chance(0.75):
            phrase.determiner = Determiner(*THE)
        if self.chance(0.15):
            phrase.adjectives = self._adjectives(phrase.noun)
        if preposition is None:
            static = phrase.noun.lexeme.prepositions[0]
            motion = phrase.noun.lexeme.prepositions[1:]
            preposition = static if case == de.DATIVE else self.pick(motion)
        return Prepositional(preposition, phrase)

    def goal(self) -> Adverbial:
        """Where someone goes."""
        if self.chance(0.25):
            return self.fixed("goal")
        if self.chance(0.2):
            name = self.name("city")
            return Prepositional(name.word.lexeme.prepositions[1], name)
        return self._at(None, ("place",))

    def company(self, subject: Phrase) -> Prepositional:
        """With whom."""
        return Prepositional(_WITH, self.object(("person",), subject, known=True))


def refer(phrase: Phrase) -> Pronoun:
    """The pronoun for something that was mentioned."""
    return Pronoun(phrase.german_pronoun, phrase.english_pronoun)


def _same_party(pronoun: Pronoun, subject: Phrase) -> bool:
    """Whether both are the speaker, or both the one spoken to."""
    return any(
        pronoun.german_pronoun in party and subject.german_pronoun in party
        for party in (_FIRST_PERSON, _SECOND_PERSON)
    )


def _mentions(phrase: Phrase, lexeme: object) -> bool:
    if isinstance(phrase, NounPhrase):
        return phrase.noun.lexeme is lexeme
    if isinstance(phrase, Name):
        return phrase.word.lexeme is lexeme
    if isinstance(phrase, Coordination):
        return _mentions(phrase.left, lexeme) or _mentions(phrase.right, lexeme)
    return False
