"""Random sentences: statements, questions, requests, and how clauses join."""

from __future__ import annotations

from typing import Final

from demo_grammar import english_forms as en
from demo_grammar import lexicon
from demo_grammar import morphology as de
from demo_grammar.clauses import (
    Clauses,
    Time,
    frame,
    has_article,
    is_permanent,
    kind_of,
    plain_verbs,
    verbs_of,
)
from demo_grammar.meaning import (
    Clause,
    FixedWord,
    Mood,
    NounPhrase,
    Phrase,
    Pronoun,
    QuestionPronoun,
    Sentence,
    Subordinate,
    Tense,
)
from demo_grammar.phrases import EVERY, THE, A, refer

_WHO: Final = (("wer", "wen", "wem"), "who")
_WHAT: Final = (("was", "was", "was"), "what")
_CONJUNCTIONS: Final[dict[Time, tuple[str, ...]]] = {
    "present": ("cause", "cause", "cause", "during", "when", "if", "before"),
    "past": ("cause", "cause", "cause", "during", "once", "before"),
    "future": ("cause", "when", "if", "if", "before"),
}


class Grammar(Clauses):
    """Draws sentences."""

    def sentence(self) -> Sentence:
        """A sentence of any kind."""
        kind = self._random()
        for share, draw in _KINDS_OF_SENTENCE:
            kind -= share
            if kind < 0:
                return draw(self)
        return self.statement()

    def _time(self) -> Time:
        kind = self._random()
        return "past" if kind < 0.45 else "present" if kind < 0.87 else "future"

    def statement(self) -> Sentence:
        """One main clause, whose subject or object may carry a relative clause."""
        time = self._time()
        clause = self.clause(time)
        kind = self._random()
        if kind < 0.1 and clause.german_front is None:
            # In front of the verb, a relative clause stays next to its noun.
            self._relative(clause.subject, clause, time)
        elif kind < 0.18 and clause.direct is not clause.german_front:
            self._relative(clause.direct, clause, time)
        return Sentence(clause)

    def _relative(self, phrase: Phrase | None, clause: Clause, time: Time) -> None:
        if isinstance(phrase, NounPhrase) and has_article(phrase, THE, A):
            side: Time = "past" if time == "past" else "present"
            self.relative(phrase, side, clause.verb.lexeme)

    def weather(self) -> Sentence:
        """*es regnet*, alone or as a reason or condition."""
        time = self._time()
        rain = self._rain(time)
        if self.chance(0.25):
            return Sentence(rain)
        main = self.clause(time, style="plain")
        conjunction = self._conjunction(time, main)
        self._settle(conjunction, main, rain)
        if self.chance(0.4):
            return Sentence(main, before=Subordinate(conjunction, rain))
        return Sentence(main, after=Subordinate(conjunction, rain))

    def _rain(self, time: Time) -> Clause:
        verb = self.word(self.pick(lexicon.verbs("weather")))
        clause = Clause(verb, Pronoun(de.ES, en.IT), Tense("present", "present"))
        self.adverbials(clause, time, "plain")
        self.tense(clause, time)
        return clause

    def _simplify(self, clause: Clause) -> None:
        """Use the simple tense, and the present for the future, as *when* and *if* ask for."""
        tense = clause.tense
        if tense.english == "future":
            clause.tense = Tense("present", "present")
            clause.time = None
            clause.german_front = clause.english_front = None
        elif tense.english in ("progressive", "perfect"):
            tense.english = "present" if tense.german == "present" else "past"

    def complex(self) -> Sentence:
        """A main and a subordinate clause."""
        time = self._time()
        side: Time = "past" if time == "past" else "present"
        if self.chance(0.35):
            sub = self.clause(side, style="plain")
            main = self.clause(time, subject=self._again(sub.subject), style="plain")
            conjunction = self._conjunction(time, main, sub)
            self._settle(conjunction, main, sub)
            return Sentence(main, before=Subordinate(conjunction, sub))
        main = self.clause(time, style="free" if self.chance(0.5) else "plain")
        if is_permanent(main):
            return Sentence(main)
        again = self._again(main.subject)
        if again is not None and main.predicate is None and self.chance(0.35):
            sub = self.feeling(side, again)
        else:
            sub = self.clause(side, subject=again, style="plain")
        conjunction = self._conjunction(time, main, sub)
        self._settle(conjunction, main, sub)
        return Sentence(main, after=Subordinate(conjunction, sub))

    def _conjunction(self, time: Time, *clauses: Clause) -> FixedWord:
        """One that fits: what lasts has no *before* and *while*, what is for good only a cause."""
        options = _CONJUNCTIONS[time]
        if any(is_permanent(clause) for clause in clauses):
            options = ("cause",)
        elif any(clause.verb.lexeme.tags & {"be", "stative"} for clause in clauses):
            options = tuple(tag for tag in options if tag not in ("before", "during"))
        return self.fixed(self.pick(options))

    def _settle(self, conjunction: FixedWord, main: Clause, sub: Clause) -> None:
        """Make the tenses fit the conjunction, and say when only once."""
        if main.tense.english == "perfect":
            self._simplify(main)
        if "cause" in conjunction.lexeme.tags:
            return
        sub.time = sub.middle = None
        if "during" in conjunction.lexeme.tags:
            return
        self._simplify(sub)
        if main.tense.english == "progressive":
            self._simplify(main)

    def _again(self, subject: Phrase) -> Phrase | None:
        """A pronoun for a person or animal already mentioned, or None for someone new."""
        if isinstance(subject, NounPhrase):
            # What stands for everybody or for a child has no plain pronoun in English.
            child = kind_of(subject) == "person" and subject.english_pronoun is en.IT
            if child or kind_of(subject) == "thing" or has_article(subject, EVERY):
                return None
        if not self.chance(0.55):
            return None
        return refer(subject)

    def reported(self) -> Sentence:
        """What someone says, thinks or wonders."""
        time: Time = "past" if self.chance(0.4) else "present"
        doubt = self.chance(0.3)
        verb = self.pick(lexicon.verbs("wonder" if doubt else "say"))
        if "wish" in verb.tags:
            time = "present"
        subject = self.subject(("person",), known=True)
        main = Clause(self.word(verb), subject, Tense("present", "present"))
        self.tense(main, time)
        told: Time = "past" if time == "past" else self._time()
        if "wish" in verb.tags:
            told = self.pick(("present", "future"))
        content = self.clause(told, subject=self._again(subject), style="plain")
        conjunction = self.fixed("whether" if doubt else "that")
        if time == "past":
            content.time = None
        if content.tense.english == "perfect":
            self._simplify(content)
        main.content = Subordinate(conjunction, content)
        return Sentence(main)

    def planned(self) -> Sentence:
        """What someone tries, plans or forgets to do."""
        time: Time = "past" if self.chance(0.5) else "present"
        subject = self.subject(("person",), known=True)
        main = Clause(
            self.word(self.pick(lexicon.verbs("plan"))), subject, Tense("present", "present")
        )
        if "stative" not in main.verb.lexeme.tags and self.chance(0.3):
            main.time = self.fixed("past" if time == "past" else "now")
            main.german_front = main.english_front = main.time
        self.tense(main, time)
        verb = self.pick(plain_verbs("person", "swap", "stative", "instant", "event"))
        plan = self.clause("present", subject=subject, verb=verb, style="bare")
        # The infinitive is of no tense: its node stands for *zu* and *to*.
        plan.tense = Tense("present", "present")
        main.infinitive = plan
        return Sentence(main)

    def joined(self) -> Sentence:
        """Two main clauses; the second may speak of the first one's object."""
        time = self._time()
        conjunction = self.fixed(self.pick(("and", "but")))
        first = self.clause(time, style="plain")
        second = None
        thing = first.direct
        if isinstance(thing, NounPhrase) and first.negation is None and self.chance(0.8):
            verbs = [
                verb
                for verb in verbs_of("accusative", thing.noun.lexeme)
                if verb is not first.verb.lexeme
            ]
            if verbs and "mass" not in thing.noun.lexeme.tags:
                verb = self.pick(verbs)
                subject = self.subject(("person",), known=True)
                second = self.clause(
                    time, subject=subject, verb=verb, direct=refer(thing), style="plain"
                )
        if second is None:
            second = self.clause(time, style="plain")
        return Sentence(first, joined=Subordinate(conjunction, second))

    def existence(self) -> Sentence:
        """*there is*: German opens with the place."""
        time: Time = "past" if self.chance(0.4) else "present"
        verb = self.pick(lexicon.verbs("exist"))
        subject = self.noun_phrase(frame(verb).subject)
        while not subject.determiner.german.late or "mass" in subject.noun.lexeme.tags:
            subject = self.noun_phrase(frame(verb).subject)
        clause = Clause(self.word(verb), subject, Tense("present", "present"), existential=True)
        clause.place = self.place(("furniture",) if "thing" in frame(verb).subject else ("place",))
        clause.german_front = clause.place
        if time == "past":
            clause.tense = Tense("preterite", "past")
        return Sentence(clause)

    def question(self) -> Sentence:
        """A question, of yes and no or with a word that asks."""
        if self.chance(0.55):
            return self._asked()
        time = self._time()
        clause = self.clause(time, style="free")
        clause.german_front = clause.english_front = clause.comment = None
        clause.particle = ""
        self._colour_question(clause)
        return Sentence(clause, Mood.QUESTION)

    def _colour_question(self, clause: Clause) -> None:
        if self.chance(0.12):
            clause.particle = "denn"

    def _asked(self) -> Sentence:
        time = self._time()
        kind = self._random()
        clause = self._asked_phrase(time, kind) if kind < 0.4 else self._asked_adverb(time)
        self._colour_question(clause)
        return Sentence(clause, Mood.QUESTION)

    def _asked_phrase(self, time: Time, kind: float) -> Clause:
        """Who or what."""
        if kind < 0.15:
            who = QuestionPronoun(*_WHO)
            clause = self.clause(time, subject=who, style="bare")
            clause.german_front = clause.english_front = who
            return clause
        verb = self.pick([verb for verb in plain_verbs("person") if _asks_object(verb)])
        needs = frame(verb)
        if needs.preposition is not None or not needs.accusative:
            asked = QuestionPronoun(*_WHO)
        else:
            person = "person" in needs.accusative and (
                needs.accusative == ("person",) or self.chance(0.5)
            )
            asked = QuestionPronoun(*(_WHO if person else _WHAT))
        subject = self.subject(("person",), known=True)
        direct = asked if needs.accusative else None
        clause = self.clause(time, subject=subject, verb=verb, direct=direct, style="bare")
        if clause.oblique is not None:
            clause.oblique.phrase = asked
        elif not needs.accusative:
            clause.recipient = asked
        clause.german_front = asked if clause.oblique is None else clause.oblique
        clause.english_front = asked
        return clause

    def _asked_adverb(self, time: Time) -> Clause:
        """Where, where to, when or why."""
        word = self.fixed(self.pick(("where", "whither", "time", "why")))
        tags = word.lexeme.tags
        if "where" in tags:
            verbs = [
                verb for verb in plain_verbs("person") if "place" in verb.tags or frame(verb).place
            ]
            if self.chance(0.35):
                clause = self.copula(time, subject=self._topic(), style="bare")
                clause.predicate = clause.negation = clause.middle = None
            else:
                clause = self.clause(time, verb=self.pick(verbs), style="bare")
            clause.place = word
        elif "whither" in tags:
            verbs = [verb for verb in plain_verbs("person") if "goal" in verb.tags]
            clause = self.clause(time, verb=self.pick(verbs), style="bare")
            clause.goal = word
        else:
            verb = self.pick(plain_verbs("person", "stative", "instant"))
            clause = self.clause(time, verb=verb, style="bare" if "time" in tags else "plain")
            if "time" in tags:
                clause.time = word
            else:
                clause.comment = word
        clause.german_front = clause.english_front = word
        return clause

    def request(self) -> Sentence:
        """Something that a friend is asked to do."""
        subject = Pronoun(de.DU, en.YOU)
        verb = self.pick(plain_verbs("person", "stative", "instant", "swap"))
        clause = self.clause("present", subject=subject, verb=verb, style="bare")
        if self.chance(0.12):
            self.negate(clause)
            return Sentence(clause, Mood.REQUEST)
        if self.chance(0.4):
            return Sentence(clause, Mood.REQUEST, please=self.fixed("please"))
        clause.particle = self.pick(("", "", "mal", "doch", "doch mal"))
        return Sentence(clause, Mood.REQUEST)


def _asks_object(verb: lexicon.Verb) -> bool:
    """Whether one can ask for the verb's only object."""
    needs = frame(verb)
    if needs.preposition is not None:
        return "person" in needs.oblique
    return bool(needs.accusative) != bool(needs.dative) and "text" not in needs.accusative


_KINDS_OF_SENTENCE: Final = (
    (0.17, Grammar.complex),
    (0.1, Grammar.joined),
    (0.09, Grammar.reported),
    (0.05, Grammar.planned),
    (0.04, Grammar.existence),
    (0.04, Grammar.weather),
    (0.13, Grammar.question),
    (0.05, Grammar.request),
)
"""The share of each kind of sentence; the rest are statements."""
