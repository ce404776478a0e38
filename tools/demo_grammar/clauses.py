"""Random clauses: a verb, what it needs, and the adverbials, tense and order that fit."""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

from demo_grammar import english_forms as en
from demo_grammar import lexicon
from demo_grammar import morphology as de
from demo_grammar.lexicon import Frame, Verb
from demo_grammar.meaning import (
    MODALS,
    Clause,
    Coordination,
    Determiner,
    EnglishTense,
    GermanTense,
    ModalWord,
    Name,
    Negation,
    NounPhrase,
    Phrase,
    Predicate,
    Prepositional,
    Profession,
    Pronoun,
    QuestionPronoun,
    RelativeClause,
    RelativePronoun,
    Tense,
)
from demo_grammar.phrases import (
    ALL,
    BARE,
    EVERY,
    NO,
    NOT_A,
    NOT_ANY,
    A,
    Articles,
    Phrases,
)

Time = Literal["past", "present", "future"]
Style = Literal["free", "plain", "bare"]
"""How much may be added to a clause: anything, no colouring, or next to nothing."""

_SPECIAL: Final = frozenset({"weather", "be", "exist", "say", "wonder", "plan"})
_KINDS: Final = ("person", "animal")
_GERN: Final = next(modals for modals in MODALS if modals[0].german is None)
_CAN: Final = MODALS[0]


@cache
def plain_verbs(kind: str, *unwanted: str) -> tuple[Verb, ...]:
    """The verbs whose subject may be of the kind, without those of unwanted traits."""
    avoid = _SPECIAL.union(unwanted)
    return tuple(
        verb for verb in lexicon.VERBS if kind in frame(verb).subject and not verb.tags & avoid
    )


@cache
def _all_plain_verbs() -> tuple[Verb, ...]:
    return tuple(verb for verb in lexicon.VERBS if not verb.tags & _SPECIAL)


@cache
def verbs_of(argument: Literal["accusative", "oblique"], noun: lexicon.Noun) -> tuple[Verb, ...]:
    """The verbs that people do to what a noun names, with nothing else needed."""
    return tuple(
        verb
        for verb in plain_verbs("person")
        if noun.tags.intersection(getattr(frame(verb), argument)) and not frame(verb).dative
    )


def frame(verb: Verb) -> Frame:
    """The verb's frame, which every verb has."""
    assert verb.frame is not None
    return verb.frame


def kind_of(phrase: Phrase) -> str:
    """The kind of what a phrase names, as the frames know it."""
    if isinstance(phrase, RelativePronoun):
        return kind_of(phrase.head)
    if isinstance(phrase, NounPhrase):
        return next((kind for kind in _KINDS if kind in phrase.noun.lexeme.tags), "thing")
    return "person"


def is_permanent(clause: Clause) -> bool:
    """Whether a clause says what something is, not how or where it is for a while."""
    predicate = clause.predicate
    if isinstance(predicate, Predicate):
        return predicate.standard is not None or "state" not in predicate.adjective.lexeme.tags
    return predicate is not None


class Clauses(Phrases):
    """Draws clauses."""

    def clause(
        self,
        time: Time,
        *,
        subject: Phrase | None = None,
        verb: Verb | None = None,
        direct: Phrase | None = None,
        style: Style = "free",
    ) -> Clause:
        """A clause at a time, with a subject, verb or direct object that is already known."""
        if verb is None:
            kind = None if subject is None else kind_of(subject)
            if self.chance(0.17) and kind != "thing":
                return self.copula(time, subject=subject, style=style)
            verb = self.pick(_all_plain_verbs() if kind is None else plain_verbs(kind, "swap"))
        swapped = "swap" in verb.tags
        if subject is None:
            subject = self.subject(frame(verb).subject, known=swapped)
        clause = Clause(self.word(verb), subject, Tense("present", "present"), direct=direct)
        self.arguments(clause)
        self.adverbials(clause, time, style)
        if style != "bare":
            self._modal(clause, time)
            self._negation(clause)
        self.tense(clause, time, style)
        if style == "free":
            self._colour(clause)
            self._order(clause)
        return clause

    def arguments(self, clause: Clause) -> None:
        """Add the objects, goals and places that the verb needs."""
        verb, subject = clause.verb.lexeme, clause.subject
        needs = frame(verb)
        if needs.dative:
            ditransitive = bool(needs.accusative)
            clause.recipient = self.object(needs.dative, subject, known=True)
            clause.recipient_last = ditransitive and ("to" in verb.tags or self.chance(0.25))
        if needs.accusative and clause.direct is None:
            whole = "whole" in verb.tags
            clause.direct = self.object(needs.accusative, subject, known=whole)
        if clause.recipient is not None and isinstance(clause.direct, Pronoun):
            clause.recipient_last = True
        if needs.preposition is not None:
            thing = self.object(needs.oblique, subject, known=True)
            clause.oblique = Prepositional(needs.preposition, thing)
        if needs.place:
            clause.place = self.place(needs.place)
        if "goal" in verb.tags:
            clause.goal = self.goal()

    def adverbials(self, clause: Clause, time: Time, style: Style) -> None:
        """Add when, how, with whom and where, two of them at most."""
        traits = clause.verb.lexeme.tags
        if "stative" in traits:
            return
        share = {"free": 1.0, "plain": 0.6, "bare": 0.25}[style]
        room = 2 - (clause.goal is not None) * self.chance(0.5)
        if style != "bare" and self.chance(0.34 * share) and room:
            tag = time if time != "present" else self.pick(("now", "habit"))
            if not (tag == "now" and "instant" in traits):
                clause.time = self.fixed(tag)
                clause.time_early = tag == "now" or self.chance(0.5)
                room -= 1
        if "ride" in traits and self.chance(0.35) and room:
            clause.manner = self.fixed("ride")
            room -= 1
        manners = [tag for tag in ("pace", "sound") if tag in traits]
        if manners and self.chance(0.22 * share) and room and clause.manner is None:
            clause.manner = self.fixed(self.pick(manners))
            room -= 1
        social = ("place" in traits or "goal" in traits) and clause.oblique is None
        if social and kind_of(clause.subject) == "person" and self.chance(0.07 * share) and room:
            clause.company = self.company(clause.subject)
            room -= 1
        if "place" in traits and clause.place is None and self.chance(0.28 * share) and room:
            clause.place = self.place()
        if style != "bare" and clause.time is None and time != "future":
            self._middle(clause, time, style)

    def _middle(self, clause: Clause, time: Time, style: Style) -> None:
        traits = clause.verb.lexeme.tags
        if self.chance(0.1):
            clause.middle = self.fixed("often")
        elif self.chance(0.05):
            clause.middle = self.fixed("also")
        elif style == "plain":
            return
        elif self.chance(0.1) and time == "past":
            clause.middle = self.fixed(self.pick(("already", "finally")))
        elif self.chance(0.08) and time == "present" and not traits & {"instant", "event"}:
            clause.middle = self.fixed("still")

    def _modal(self, clause: Clause, time: Time) -> None:
        traits = clause.verb.lexeme.tags
        middle = clause.middle
        if time == "future" or traits & {"stative"} or not self.chance(0.17):
            return
        if middle is not None and middle.lexeme.tags & {"already", "still", "finally"}:
            return
        if "lapse" in traits:
            return
        modals = _CAN if "instant" in traits else self.pick(MODALS)
        if modals is _GERN and not self._may_be_liked(clause):
            return
        modal = self.pick(modals)
        if time == "past" and not modal.past:
            return
        clause.modal = ModalWord(modal, self.pick(modal.adverbs) if modal.adverbs else "")

    def _may_be_liked(self, clause: Clause) -> bool:
        """Whether *gern* fits: something one does again and again."""
        known = clause.direct is not None and not has_article(clause.direct, BARE)
        once = clause.time is not None and "habit" not in clause.time.lexeme.tags
        return not (known or once or clause.middle) and "event" not in clause.verb.lexeme.tags

    def _negation(self, clause: Clause) -> None:
        habit = clause.time is not None and "habit" in clause.time.lexeme.tags
        if habit or clause.middle is not None or not self.chance(0.15):
            return
        if clause.modal is not None and not clause.modal.modal.negatable:
            return
        self.negate(clause)

    def negate(self, clause: Clause) -> None:
        """Say *nicht*, or *kein* where the object is indefinite, if the subject lets it."""
        subject = clause.subject
        # With *every* and *all*, *not* would be ambiguous: not all, or none?
        if has_article(subject, EVERY, ALL) or _is_new(subject):
            return
        direct = clause.direct
        if not _is_new(direct):
            clause.negation = Negation()
            return
        assert isinstance(direct, NounPhrase)
        if has_article(direct, A):
            options: tuple[Articles, ...] = (NO, NOT_A)
        elif has_article(direct, BARE):
            options = (NO, *NOT_ANY)
        else:
            return
        # One does not look for no thing.
        articles = self.pick(options[1:] if clause.verb.english.particle else options)
        # How, with whom and where: *kein* leaves nothing to say it of.
        clause.manner = clause.company = None
        if not frame(clause.verb.lexeme).place:
            clause.place = None
        clause.negation = Negation(german=False, english=articles is not NO)
        direct.determiner = Determiner(*articles, negation=clause.negation)

    def tense(self, clause: Clause, time: Time, style: Style = "free") -> None:
        """Choose the tense on either side."""
        clause.tense = Tense(
            self._german_tense(clause, time), self._english_tense(clause, time, style)
        )
        if time == "past" and clause.tense.german == "preterite":
            # A German preterite tells a story; the English perfect does not.
            clause.tense.english = "past"

    def _german_tense(self, clause: Clause, time: Time) -> GermanTense:
        if time == "present":
            return "present"
        if time == "future":
            return "future" if clause.time is None or self.chance(0.6) else "present"
        verb = clause.verb.german
        if clause.modal is not None and clause.modal.modal.german is not None:
            return "preterite"
        if verb.infinitive in ("sein", "haben", "wissen", "mögen"):
            return "preterite"
        if clause.middle is not None and "already" in clause.middle.lexeme.tags:
            return "perfect"
        told = clause.subject.german_pronoun.agreement not in (1, 4)
        if clause.subject.german_pronoun is de.SIE_POLITE:
            told = False
        share = 0.9 if "stative" in clause.verb.lexeme.tags else 0.3
        return "preterite" if told and self.chance(share) else "perfect"

    def _english_tense(self, clause: Clause, time: Time, style: Style) -> EnglishTense:
        traits = clause.verb.lexeme.tags
        middle = frozenset[str]() if clause.middle is None else clause.middle.lexeme.tags
        when = frozenset[str]() if clause.time is None else clause.time.lexeme.tags
        if time == "future":
            return "future"
        still = traits & {"stative", "instant", "be", "say", "wonder", "exist"}
        if time == "past":
            if clause.modal is not None or style == "bare":
                return "past"
            alone = style == "free" and not (when or middle or still)
            return "perfect" if "already" in middle or (alone and self.chance(0.2)) else "past"
        if still or clause.modal is not None or "habit" in when or "often" in middle:
            return "present"
        if "now" in when or "still" in middle:
            return "progressive"
        return "progressive" if style != "bare" and self.chance(0.5) else "present"

    def _colour(self, clause: Clause) -> None:
        """Add a comment or a particle."""
        if self.chance(0.05):
            clause.comment = self.fixed("comment")
            clause.english_front = clause.comment
        elif self.chance(0.05):
            clause.particle = self.pick(("ja", "doch"))

    def _order(self, clause: Clause) -> None:
        """Choose what opens the clause in either language."""
        if clause.comment is not None and self.chance(0.6):
            clause.german_front = clause.comment
        elif clause.time is not None and self.chance(0.5):
            clause.german_front = clause.time
        elif "swap" in clause.verb.lexeme.tags and self.chance(0.5):
            clause.german_front = clause.recipient
        elif clause.negation is None:
            if clause.place is not None and self.chance(0.2):
                clause.german_front = clause.place
            elif _clearly_object(clause.direct) and self.chance(0.12):
                clause.german_front = clause.direct
        if clause.time is not None and clause.comment is None:
            chance = 0.5 if clause.german_front is clause.time else 0.08
            if self.chance(chance):
                clause.english_front = clause.time

    def copula(self, time: Time, *, subject: Phrase | None = None, style: Style = "free") -> Clause:
        """A clause with *sein*: how, what or where someone or something is."""
        if subject is None:
            subject = self._topic()
        verb = self.word(lexicon.verbs("be")[0])
        clause = Clause(verb, subject, Tense("present", "present"))
        jobs = isinstance(subject, Name | Pronoun) and subject.german_pronoun.agreement < 3
        if jobs and isinstance(subject, Name | Pronoun) and self.chance(0.15):
            clause.predicate = self._profession(subject)
        if clause.predicate is None and kind_of(subject) != "thing" and self.chance(0.25):
            clause.place = self.place()
        if clause.predicate is None and clause.place is None:
            clause.predicate = self._predicate(subject, style)
        passing = not is_permanent(clause)
        if time == "future" and not passing:
            time = "present"
        graded = isinstance(clause.predicate, Predicate) and clause.predicate.degree is not None
        if style != "bare" and not graded:
            if passing and self.chance(0.16):
                clause.middle = self.fixed(
                    self.pick(("often", "still")) if time == "present" else "often"
                )
            elif not isinstance(clause.predicate, Profession) and self.chance(0.18):
                self.negate(clause)
        self.tense(clause, time, style)
        if style == "free":
            self._colour(clause)
            self._order(clause)
        return clause

    def feeling(self, time: Time, subject: Phrase) -> Clause:
        """A clause that says how someone feels."""
        clause = Clause(self.word(lexicon.verbs("be")[0]), subject, Tense("present", "present"))
        states = [
            adjective
            for adjective in lexicon.ADJECTIVES
            if "state" in adjective.tags and kind_of(subject) in adjective.tags
        ]
        degree = self.fixed("degree") if self.chance(0.3) else None
        clause.predicate = Predicate(self.word(self.pick(states)), degree=degree)
        self.tense(clause, time, "bare")
        return clause

    def _topic(self) -> Phrase:
        if self.chance(0.45):
            return self.subject(("person", "animal"), known=True)
        tags = ("thing", "food", "drink", "vehicle", "room", "building", "outdoors", "furniture")
        return self.noun_phrase((self.pick(tags),), known=True, agent=True)

    def _profession(self, subject: Name | Pronoun) -> Profession:
        sex = {en.HE: "m", en.SHE: "f"}.get(subject.english_pronoun)
        jobs = [noun for noun in lexicon.nouns("job") if sex is None or sex in noun.tags]
        return Profession(self.word(self.pick(jobs)))

    def _predicate(self, subject: Phrase, style: Style) -> Predicate:
        if isinstance(subject, RelativePronoun):
            options = [*lexicon.adjectives(subject.head.noun.lexeme)]
        elif isinstance(subject, NounPhrase):
            subject.adjectives = ()
            options = [*lexicon.adjectives(subject.noun.lexeme)]
        else:
            options = [a for a in lexicon.ADJECTIVES if "person" in a.tags]
        adjective = self.word(self.pick(options))
        if adjective.german.comparative is not None and adjective.english.comparative is None:
            # *little* stands before nouns only.
            adjective.english = adjective.lexeme.english[0]
        comparable = adjective.german.comparative is not None
        if comparable and self.chance(0.3):
            standard = self._standard(subject)
            if standard is not None:
                return Predicate(adjective, standard=standard)
        graded = comparable or "graded" in adjective.lexeme.tags
        degree = self.fixed("degree") if graded and style != "bare" and self.chance(0.4) else None
        return Predicate(adjective, degree=degree)

    def _standard(self, subject: Phrase) -> Phrase | None:
        """What a subject is compared to: another of its kind."""
        if isinstance(subject, NounPhrase):
            kinds = tuple(sorted(subject.noun.lexeme.tags & _COMPARABLE))
            if not kinds:
                return None
            other = self.noun_phrase(kinds[:1], owner=subject, known=True, plain=True)
            return None if other.noun.lexeme is subject.noun.lexeme else other
        if isinstance(subject, Coordination | QuestionPronoun | RelativePronoun):
            return None
        return self.object(("kin",), subject, known=True)

    def relative(self, head: NounPhrase, time: Time, main: Verb) -> None:
        """Say more of what a phrase names, in a relative clause with another verb than ``main``."""
        kind = kind_of(head)
        obliques = [verb for verb in verbs_of("oblique", head.noun.lexeme) if verb is not main]
        choice = self._random()
        if kind != "thing" and choice < 0.5:
            pronoun = RelativePronoun(head, "who" if kind == "person" else self.pick(_THINGS))
            clause = self.clause(time, subject=pronoun, style="plain")
            clause.english_front = pronoun
            head.relative = RelativeClause(pronoun, clause)
            return
        speaker = self.pronoun() if self.chance(0.6) else self.name("person")
        dropped = ("", "who", "that") if kind == "person" else ("", *_THINGS)
        pronoun = RelativePronoun(head, self.pick(dropped))
        objects = [verb for verb in verbs_of("accusative", head.noun.lexeme) if verb is not main]
        if obliques and (choice > 0.8 or not objects):
            clause = self._clause_around(self.pick(obliques), speaker, time)
            assert clause.oblique is not None
            clause.oblique.phrase = pronoun
            clause.german_front = clause.oblique
        elif objects:
            clause = self._clause_around(self.pick(objects), speaker, time, direct=pronoun)
            clause.german_front = pronoun
        else:
            return
        clause.english_front = pronoun
        head.relative = RelativeClause(pronoun, clause)

    def _clause_around(
        self, verb: Verb, subject: Phrase, time: Time, direct: Phrase | None = None
    ) -> Clause:
        return self.clause(time, subject=subject, verb=verb, direct=direct, style="bare")


_THINGS: Final = ("that", "which")
_COMPARABLE: Final = frozenset(
    {"person", "animal", "food", "drink", "clothes", "vehicle", "furniture", "building", "read"}
)


def _is_new(phrase: Phrase | None) -> bool:
    return isinstance(phrase, NounPhrase) and phrase.determiner.german.late


def has_article(phrase: Phrase, *articles: Articles) -> bool:
    """Whether a noun phrase has one of these articles."""
    if not isinstance(phrase, NounPhrase):
        return False
    return any(phrase.determiner.english is english for _, english in articles)


def _clearly_object(phrase: Phrase | None) -> bool:
    """Whether the accusative shows, so that the object may open the clause."""
    if not isinstance(phrase, NounPhrase) or phrase.gender != de.MASCULINE:
        return False
    forms = phrase.determiner.german.forms
    known = not phrase.determiner.german.late
    return known and forms[de.ACCUSATIVE][de.MASCULINE] != forms[de.NOMINATIVE][de.MASCULINE]
