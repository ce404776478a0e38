"""German wording of sentences and clauses: verb second, verb last, and the order between them."""

from __future__ import annotations

from demo_grammar import morphology as de
from demo_grammar.german_phrases import (
    COMMA,
    Tokens,
    fixed,
    phrase,
    predicate,
    prepositional,
    standard,
)
from demo_grammar.meaning import (
    Clause,
    FixedWord,
    Mood,
    NounPhrase,
    Phrase,
    Predicate,
    Prepositional,
    Profession,
    Pronoun,
    RelativeClause,
    Sentence,
    Subordinate,
    Token,
    Word,
)


def sentence(meaning: Sentence) -> Tokens:
    """Word a sentence."""
    main = meaning.main
    if meaning.mood is Mood.REQUEST:
        tokens = _request(main, meaning.please)
    elif meaning.mood is Mood.QUESTION and main.german_front is None:
        tokens = _verb_first(main, [])
    elif meaning.before is not None:
        tokens = [*_subordinate(meaning.before), (",", (meaning.before,))]
        tokens += _verb_first(main, [])
    else:
        tokens = _verb_second(main)
    if meaning.joined is not None:
        joined = meaning.joined
        if "but" in joined.conjunction.lexeme.tags:
            tokens.append((",", (joined,)))
        tokens += fixed(joined.conjunction) + _verb_second(joined.clause)
    if meaning.after is not None:
        tokens.append(COMMA)
        tokens += _subordinate(meaning.after)
    tokens.append((meaning.mood.value, (meaning,)))
    return tokens


def _verb_second(clause: Clause) -> Tokens:
    front = clause.subject if clause.german_front is None else clause.german_front
    nested: list[RelativeClause] = []
    opening = _constituent(clause, front, nested)
    # A relative clause of the first phrase stays with it, closed by its comma.
    if nested:
        opening += [*_relatives(nested), COMMA]
    return opening + _verb_first(clause, [front])


def _verb_first(clause: Clause, said: list[object]) -> Tokens:
    finite, rest = _verbs(clause)
    behind: list[RelativeClause] = []
    tokens = [finite, *_middle(clause, said, behind), *rest]
    return tokens + _relatives(behind) + _field_after(clause)


def _verb_last(clause: Clause) -> Tokens:
    finite, rest = _verbs(clause)
    behind: list[RelativeClause] = []
    tokens: Tokens = []
    said: list[object] = []
    if clause.german_front is not None:
        tokens += _constituent(clause, clause.german_front, behind)
        said.append(clause.german_front)
    tokens += _middle(clause, said, behind)
    if _has_loose_prefix(clause):
        # Here the prefix comes home: er ruft an, weil er anruft.
        rest, finite = [], (rest[0][0] + finite[0], finite[1])
    return [*tokens, *rest, finite, *_relatives(behind), *_field_after(clause)]


def _infinitive(clause: Clause) -> Tokens:
    verb = clause.verb.german
    behind: list[RelativeClause] = []
    tokens = _middle(clause, [clause.subject], behind)
    if verb.prefix:
        word = f"{verb.prefix}zu{verb.stem_infinitive}"
        tokens.append((word, (clause.verb, clause.tense)))
    else:
        tokens += [("zu", (clause.tense,)), (verb.infinitive, (clause.verb,))]
    return tokens + _relatives(behind)


def _request(clause: Clause, please: FixedWord | None) -> Tokens:
    verb = clause.verb.german
    tokens: Tokens = [(verb.imperative, (clause.verb,))]
    behind: list[RelativeClause] = []
    middle = _middle(clause, [clause.subject], behind)
    if please is not None:
        # Pronouns stay with the verb: ruf ihn bitte an.
        at = _leading_pronouns(clause)
        middle[at:at] = fixed(please)
    tokens += middle
    if verb.prefix:
        tokens.append((verb.prefix, (clause.verb,)))
    return tokens + _relatives(behind)


def _leading_pronouns(clause: Clause) -> int:
    phrases = (clause.direct, clause.recipient)
    return sum(isinstance(phrase, Pronoun) for phrase in phrases) + clause.verb.german.reflexive


def _has_loose_prefix(clause: Clause) -> bool:
    simple = clause.tense.german in ("present", "preterite")
    modal = clause.modal is not None and clause.modal.modal.german is not None
    return simple and not modal and bool(clause.verb.german.prefix)


def _verbs(clause: Clause) -> tuple[Token, Tokens]:
    """The finite verb and what stands at the end: prefix, participle or infinitive."""
    verb, tense = clause.verb.german, clause.tense
    person = clause.subject.german_pronoun.agreement
    end: Token = (verb.infinitive, (clause.verb,))
    if clause.modal is not None and clause.modal.modal.german is not None:
        modal = clause.modal.modal.german
        forms = modal.preterite if tense.german == "preterite" else modal.present
        return (forms[person], (clause.modal,)), [end]
    if tense.german == "future":
        return (de.WERDEN.present[person], (tense,)), [end]
    if tense.german == "perfect":
        auxiliary = de.SEIN if verb.auxiliary == "sein" else de.HABEN
        return (auxiliary.present[person], (tense,)), [(verb.participle, (clause.verb,))]
    forms = verb.preterite if tense.german == "preterite" else verb.present
    prefix: Tokens = [(verb.prefix, (clause.verb,))] if verb.prefix else []
    return (forms[person], (clause.verb,)), prefix


def _middle(clause: Clause, said: list[object], behind: list[RelativeClause]) -> Tokens:
    """The field between the verbs, without what was said before it.

    Pronouns come first, then what is known, time, *nicht*, manner, place, and what is new.
    """
    tokens: Tokens = []

    def say(part: object) -> None:
        if part is not None and not any(part is other for other in said):
            said.append(part)
            tokens.extend(_constituent(clause, part, behind))

    say(clause.subject)
    if isinstance(clause.direct, Pronoun):
        say(clause.direct)
    if clause.verb.german.reflexive:
        tokens.append((clause.subject.german_pronoun.reflexive, ()))
    if isinstance(clause.recipient, Pronoun):
        say(clause.recipient)
    if clause.particle:
        tokens += [(word, ()) for word in clause.particle.split()]
    say(clause.comment)
    if clause.time_early:
        say(clause.time)
    say(clause.recipient)
    if not _is_late(clause.direct):
        say(clause.direct)
    say(clause.time)
    say(clause.middle)
    if clause.negation is not None and clause.negation.german:
        tokens.append(("nicht", (clause.negation,)))
    if clause.modal is not None and clause.modal.adverb:
        tokens.append((clause.modal.adverb, (clause.modal,)))
    say(clause.manner)
    say(clause.company)
    say(clause.place)
    say(clause.direct)
    say(clause.oblique)
    say(clause.goal)
    say(clause.predicate)
    return tokens


def _is_late(phrase: Phrase | None) -> bool:
    return isinstance(phrase, NounPhrase) and phrase.determiner.german.late


def _relatives(clauses: list[RelativeClause]) -> Tokens:
    return [token for relative in clauses for token in (COMMA, *_verb_last(relative.clause))]


def _field_after(clause: Clause) -> Tokens:
    tokens: Tokens = []
    if isinstance(clause.predicate, Predicate):
        tokens += standard(clause.predicate)
    if clause.infinitive is not None:
        tokens += [COMMA, *_infinitive(clause.infinitive)]
    if clause.content is not None:
        tokens += [COMMA, *_subordinate(clause.content)]
    return tokens


def _subordinate(subordinate: Subordinate) -> Tokens:
    return fixed(subordinate.conjunction) + _verb_last(subordinate.clause)


def _constituent(clause: Clause, part: object, behind: list[RelativeClause]) -> Tokens:
    """Word a part of the clause in the case that its verb asks for."""
    if clause.direct is not None and part is clause.direct:
        return phrase(clause.direct, de.ACCUSATIVE, behind)
    if clause.recipient is not None and part is clause.recipient:
        return phrase(clause.recipient, de.DATIVE, behind)
    if isinstance(part, Prepositional):
        return prepositional(part, behind)
    if isinstance(part, Predicate):
        return predicate(part)
    if isinstance(part, Profession):
        return [(part.noun.german.form(de.NOMINATIVE, False), (part.noun,))]
    if part is clause.subject:
        return phrase(clause.subject, de.NOMINATIVE, behind)
    assert isinstance(part, Word)
    return fixed(part)
