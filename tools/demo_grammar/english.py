"""English wording of meanings: subject, verb, object, and *do* where it must help."""

from __future__ import annotations

from collections.abc import Hashable

from demo_grammar import english_forms as en
from demo_grammar.meaning import (
    Clause,
    Coordination,
    FixedWord,
    Mood,
    Name,
    NounPhrase,
    NounWord,
    Phrase,
    Predicate,
    Prepositional,
    Profession,
    Pronoun,
    QuestionPronoun,
    Sentence,
    Subordinate,
    Token,
    Word,
)

Tokens = list[Token]


def sentence(meaning: Sentence) -> Tokens:
    """Word a sentence."""
    main = meaning.main
    if meaning.mood is Mood.REQUEST:
        tokens = _request(main, meaning.please)
    elif meaning.mood is Mood.QUESTION:
        tokens = _question(main)
    else:
        tokens = _statement(main)
    if meaning.before is not None:
        tokens = [*_subordinate(meaning.before), (",", (meaning.before,)), *tokens]
    if meaning.joined is not None:
        if "but" in meaning.joined.conjunction.lexeme.tags:
            tokens.append((",", (meaning.joined,)))
        tokens += _subordinate(meaning.joined)
    if meaning.after is not None:
        tokens += _subordinate(meaning.after)
    tokens.append((meaning.mood.value, (meaning,)))
    return _with_articles(tokens)


def _with_articles(tokens: Tokens) -> Tokens:
    """Choose between *a* and *an*, now that the words behind are known."""
    following = [word for word, _ in tokens[1:]]
    return [
        (en.indefinite_article(after) if word == "a" else word, nodes)
        for (word, nodes), after in zip(tokens, [*following, ""], strict=True)
    ]


def _fixed(word: FixedWord) -> Tokens:
    return [
        (form, tuple((word, number) for number in numbers)) for form, numbers in word.english.words
    ]


def _subordinate(subordinate: Subordinate) -> Tokens:
    return _fixed(subordinate.conjunction) + _statement(subordinate.clause)


def _subject(clause: Clause) -> Phrase:
    """The subject; of verbs such as *gefallen* it is the German dative (she likes it)."""
    if "swap" in clause.verb.lexeme.tags:
        assert clause.recipient is not None
        return clause.recipient
    return clause.subject


def _person(phrase: Phrase) -> int:
    return phrase.german_pronoun.agreement


def _statement(clause: Clause) -> Tokens:
    front = clause.english_front
    subject = _subject(clause)
    auxiliary, verb = _verb_group(clause, inverted=False)
    tokens: Tokens = [] if front is None else _front(front)
    if clause.existential:
        tokens.append(("there", ()))
    elif front is not subject:
        tokens += _phrase(subject, subject=True)
    tokens += _with_not(auxiliary, clause)
    tokens += _middle(clause)
    return tokens + verb + _rest(clause)


def _question(clause: Clause) -> Tokens:
    subject = _subject(clause)
    if clause.english_front is subject:
        return _statement(clause)
    auxiliary, verb = _verb_group(clause, inverted=True)
    tokens: Tokens = [] if clause.english_front is None else _front(clause.english_front)
    tokens += auxiliary
    tokens += _phrase(subject, subject=True)
    if clause.negation is not None and clause.negation.english:
        tokens.append(("not", (clause.negation,)))
    return tokens + _middle(clause) + verb + _rest(clause)


def _request(clause: Clause, please: FixedWord | None) -> Tokens:
    tokens: Tokens = [] if please is None else _fixed(please)
    if clause.negation is not None and clause.negation.english:
        tokens += [("do", ()), ("not", (clause.negation,))]
    return [*tokens, (clause.verb.english.base, (clause.verb,)), *_rest(clause)]


def _infinitive(clause: Clause) -> Tokens:
    return [
        ("to", (clause.tense,)),
        (clause.verb.english.base, (clause.verb,)),
        *_rest(clause),
    ]


def _with_not(auxiliary: Tokens, clause: Clause) -> Tokens:
    negation = clause.negation
    if negation is None or not negation.english:
        return auxiliary
    word, nodes = auxiliary[0]
    if word == "can":
        return [("cannot", (*nodes, negation)), *auxiliary[1:]]
    return [auxiliary[0], ("not", (negation,)), *auxiliary[1:]]


def _middle(clause: Clause) -> Tokens:
    return [] if clause.middle is None else _fixed(clause.middle)


def _verb_group(clause: Clause, *, inverted: bool) -> tuple[Tokens, Tokens]:
    """What stands before and behind *not* and the subject of a question.

    The first is the auxiliary (or *be*), empty if the verb needs none.
    """
    word, tense = clause.verb, clause.tense
    verb = word.english
    person = _person(_subject(clause))
    needs_auxiliary = inverted or (clause.negation is not None and clause.negation.english)
    base: Token = (verb.base, (word,))
    if clause.modal is not None:
        return _modal_group(clause, person, base, needs_auxiliary)
    if tense.english == "future":
        return [("will", (tense,))], [base]
    if tense.english == "perfect":
        return [(en.HAVE.present[person], (tense,))], [(verb.participle, (word,))]
    if tense.english == "progressive":
        return [(en.BE.present[person], (tense,))], [(verb.ing, (word,))]
    past = tense.english == "past"
    finite: Token = ((verb.past if past else verb.present)[person], (word,))
    if verb.base == "be":
        return [finite], []
    if needs_auxiliary:
        do = en.DO.past if past else en.DO.present
        return [(do[person], (tense,))], [base]
    return [], [finite]


def _modal_group(
    clause: Clause, person: int, base: Token, needs_auxiliary: bool
) -> tuple[Tokens, Tokens]:
    word = clause.modal
    assert word is not None
    modal = word.modal
    past = clause.tense.english == "past"
    rest: Tokens = [(part, (word,)) for part in modal.rest]
    if modal.to:
        rest.append(("to", ()))
    rest.append(base)
    if modal.english is None:
        return [(modal.auxiliary[past], (word,))], rest
    finite: Token = ((modal.english.past if past else modal.english.present)[person], (word,))
    if modal.english.base == "be":
        return [finite], rest
    if needs_auxiliary:
        do = en.DO.past if past else en.DO.present
        return [(do[person], (clause.tense,))], [(modal.english.base, (word,)), *rest]
    return [], [finite, *rest]


def _front(part: object) -> Tokens:
    if isinstance(part, Word):
        return _fixed(part)
    assert isinstance(part, Phrase)
    return _phrase(part, subject=False)


def _rest(clause: Clause) -> Tokens:
    """What follows the verb: objects, place, manner, time."""
    tokens = _objects(clause)
    said = clause.english_front
    if clause.existential:
        tokens += _phrase(clause.subject, subject=True)
    if isinstance(clause.predicate, Predicate):
        tokens += _predicate(clause.predicate)
    elif isinstance(clause.predicate, Profession):
        tokens.append(("a", ()))
        tokens += _noun(clause.predicate.noun, plural=False)
    if clause.oblique is not None:
        tokens += _prepositional(clause.oblique, said)
    for part in (clause.goal, clause.manner, clause.company, clause.place, clause.time):
        if part is None or part is said:
            continue
        tokens += _fixed(part) if isinstance(part, Word) else _prepositional(part, said)
    if clause.infinitive is not None:
        tokens += _infinitive(clause.infinitive)
    if clause.content is not None:
        tokens += _subordinate(clause.content)
    return tokens


def _objects(clause: Clause) -> Tokens:
    word, front = clause.verb, clause.english_front
    swapped = "swap" in word.lexeme.tags
    direct = clause.subject if swapped else clause.direct
    recipient = None if swapped else clause.recipient
    if clause.existential:
        direct = None
    thing = [] if direct is None or direct is front else _phrase(direct, subject=False)
    person = [] if recipient is None or recipient is front else _phrase(recipient, subject=False)
    particle: Tokens = [(part, (word,)) for part in word.english.particle]
    if word.english.movable and isinstance(direct, Pronoun):
        return thing + particle
    if clause.recipient_last and recipient is not None:
        return [*particle, *thing, ("to", ()), *person]
    return particle + person + thing


def _predicate(meaning: Predicate) -> Tokens:
    adjective = meaning.adjective
    if meaning.standard is None:
        degree = [] if meaning.degree is None else _fixed(meaning.degree)
        return [*degree, (adjective.english.base, (adjective,))]
    assert adjective.english.comparative is not None
    comparative: Tokens = [(part, (adjective,)) for part in adjective.english.comparative.split()]
    return [*comparative, ("than", (meaning,)), *_phrase(meaning.standard, subject=False)]


def _prepositional(meaning: Prepositional, front: object) -> Tokens:
    """A preposition stays behind when its phrase opens the clause (who he waits for)."""
    tokens: Tokens = [(word, (meaning,)) for word in meaning.preposition.english.split()]
    return tokens if meaning.phrase is front else tokens + _phrase(meaning.phrase, subject=False)


def _phrase(meaning: Phrase, *, subject: bool) -> Tokens:
    if isinstance(meaning, NounPhrase):
        return _noun_phrase(meaning)
    if isinstance(meaning, Name):
        return _fixed(meaning.word)
    if isinstance(meaning, Pronoun):
        pronoun = meaning.english_pronoun
        return [(pronoun.subject if subject else pronoun.object, (meaning,))]
    if isinstance(meaning, Coordination):
        left, right = (
            _phrase(meaning.left, subject=subject),
            _phrase(meaning.right, subject=subject),
        )
        return left + _fixed(meaning.conjunction) + right
    if isinstance(meaning, QuestionPronoun):
        return [(meaning.english, (meaning,))]
    return [(meaning.english, (meaning,))] if meaning.english else []


def _noun_phrase(meaning: NounPhrase) -> Tokens:
    determiner = meaning.determiner
    form = determiner.english.plural if meaning.plural else determiner.english.singular
    nodes: tuple[Hashable, ...] = (determiner,)
    if determiner.negation is not None and not determiner.negation.english:
        nodes = (determiner, determiner.negation)
    tokens: Tokens = [(word, nodes) for word in form.split()]
    tokens += [(word.english.base, (word,)) for word in meaning.adjectives]
    tokens += _noun(meaning.noun, meaning.plural)
    if meaning.relative is not None:
        tokens += _statement(meaning.relative.clause)
    return tokens


def _noun(noun: NounWord, plural: bool) -> Tokens:
    form = noun.english.plural if plural else noun.english.singular
    return [(word, (noun,)) for word in form.split()]
