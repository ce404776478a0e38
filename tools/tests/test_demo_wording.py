"""Meanings built by hand against German, English and links written by hand."""

from __future__ import annotations

import pytest
from demo_grammar import english_forms as en
from demo_grammar import lexicon, render
from demo_grammar import morphology as de
from demo_grammar.german_phrases import phrase
from demo_grammar.lexicon import Preposition
from demo_grammar.meaning import (
    MODALS,
    Coordination,
    ModalWord,
    Mood,
    Negation,
    Predicate,
    Prepositional,
    Profession,
    QuestionPronoun,
    RelativeClause,
    RelativePronoun,
    Sentence,
    Subordinate,
    Word,
)
from demo_grammar.phrases import BARE, NO, NOT_A, THE, A
from demo_meanings import (
    PERFECT,
    adjective,
    clause,
    fixed,
    he,
    his,
    i,
    name_of,
    noun,
    person,
    pronoun,
    she,
    verb,
    word,
)

from pyro_align.data.links import parse_links


def separable():
    subject = he()
    return Sentence(clause(verb("anrufen"), subject, direct=noun("Mutter", his(subject))))


def separable_at_the_end():
    anna = person("Anna")
    sub = clause(verb("anrufen"), anna, direct=noun("Mutter", his(anna)))
    main = clause(verb("bellen"), noun("Hund"))
    return Sentence(main, after=Subordinate(fixed("weil / da", "cause"), sub))


def perfect():
    time = fixed("gestern", "past")
    return Sentence(
        clause(
            verb("sehen"),
            noun("Mann"),
            PERFECT,
            direct=noun("Hund"),
            time=time,
            place=Prepositional(Preposition("in", "in", de.DATIVE), noun("Park")),
            german_front=time,
        )
    )


def question_with_did():
    main = clause(verb("sehen"), noun("Mann"), PERFECT, direct=noun("Hund"))
    return Sentence(main, Mood.QUESTION)


def motion_and_sein():
    goal = Prepositional(Preposition("zu", "to", de.DATIVE), noun("Bibliothek"))
    subject = noun("Junge", plural=True)
    return Sentence(clause(verb("gehen"), subject, PERFECT, goal=goal))


def modal():
    subject = noun("Mädchen")
    main = clause(verb("lesen"), subject, direct=noun("Buch"))
    main.modal = ModalWord(MODALS[1][0])
    return Sentence(main)


def modal_at_the_end():
    sub = clause(verb("aufstehen"), she(), ("preterite", "past"))
    sub.modal = ModalWord(MODALS[2][0])
    main = clause(verb("sagen"), person("Lena"), ("perfect", "past"))
    main.content = Subordinate(fixed("dass", "that"), sub)
    return Sentence(main)


def gern():
    main = clause(verb("singen"), noun("Frau"))
    main.modal = ModalWord(MODALS[6][0], "gern")
    return Sentence(main)


def compound():
    main = clause(verb("öffnen", german=1), noun("Frau"), direct=noun("Haustür"))
    return Sentence(main)


def not_a():
    negation = Negation(german=False)
    dog = noun("Hund", NOT_A, negation=negation)
    return Sentence(clause(verb("haben"), i(), direct=dog, negation=negation))


def no():
    negation = Negation(german=False, english=False)
    dog = noun("Hund", NO, negation=negation)
    return Sentence(clause(verb("haben"), i(), direct=dog, negation=negation))


def cannot():
    main = clause(verb("einschlafen"), i(), negation=Negation())
    main.modal = ModalWord(MODALS[0][0])
    return Sentence(main)


def nicht_before_the_place():
    place = Prepositional(Preposition("in", "in", de.DATIVE), noun("Park"))
    main = clause(
        verb("sehen"), i(), PERFECT, direct=noun("Hund"), place=place, negation=Negation()
    )
    return Sentence(main)


def infinitive():
    subject = he()
    plan = clause(verb("anrufen"), subject, direct=noun("Mutter", his(subject)))
    return Sentence(clause(verb("versuchen", trait="plan"), subject, infinitive=plan))


def infinitive_with_zu():
    subject = she()
    plan = clause(verb("kaufen"), subject, direct=noun("Apfel", A))
    return Sentence(clause(verb("versuchen", trait="plan"), subject, infinitive=plan))


def relative():
    head = noun("Junge")
    that = RelativePronoun(head, "")
    inner = clause(verb("kennen"), i(), direct=that, german_front=that, english_front=that)
    head.relative = RelativeClause(that, inner)
    return Sentence(clause(verb("schlafen"), head))


def relative_behind_the_verbs():
    head = noun("Hund")
    who = RelativePronoun(head, "that")
    inner = clause(verb("bellen"), who, ("perfect", "past"), english_front=who)
    head.relative = RelativeClause(who, inner)
    return Sentence(clause(verb("hören"), noun("Katze"), PERFECT, direct=head))


def existence():
    place = Prepositional(Preposition("auf", "on", de.DATIVE), noun("Tisch"))
    (lexeme,) = [x for x in lexicon.verbs("exist") if "thing" in x.frame.subject]
    lies = Word(lexeme, lexeme.german[0], lexeme.english[0])
    apple = noun("Apfel", A)
    main = clause(lies, apple, place=place, german_front=place, existential=True)
    return Sentence(main)


def pronoun_objects():
    it, him = pronoun(de.ES, en.IT), he()
    return Sentence(clause(verb("geben"), she(), direct=it, recipient=him, recipient_last=True))


def recipient():
    return Sentence(
        clause(verb("geben"), noun("Lehrer"), recipient=noun("Kind"), direct=noun("Ball", A))
    )


def swapped():
    child = noun("Kind")
    main = clause(verb("gefallen"), noun("Buch"), recipient=child, german_front=child)
    return Sentence(main)


def request():
    main = clause(verb("setzen"), pronoun(de.DU, en.YOU))
    return Sentence(main, Mood.REQUEST, please=fixed("bitte", "please"))


def request_with_raised_vowel():
    main = clause(verb("geben"), pronoun(de.DU, en.YOU), recipient=i(), direct=noun("Brot"))
    main.particle = "doch mal"
    return Sentence(main, Mood.REQUEST)


def comparison_at_the_end():
    than = Predicate(adjective("teuer"), standard=noun("Hut"))
    inner = clause(verb("sein", trait="be"), noun("Auto"), predicate=than)
    main = clause(verb("glauben"), person("Anna"))
    main.content = Subordinate(fixed("dass_0", "that"), inner)
    return Sentence(main)


def condition_first():
    rain = clause(verb("regnen"), pronoun(de.ES, en.IT))
    home = fixed("zu_1 Hause_2", "place")
    main = clause(verb("bleiben"), he(), ("future", "future"), place=home)
    return Sentence(main, before=Subordinate(fixed("wenn / falls", "if"), rain))


def particle_verb_with_pronoun():
    return Sentence(clause(verb("abholen"), she(), direct=he()))


def days_ago():
    anna = ("Annas", "Anna 's")
    form = de.invariant(anna[0]), en.EnglishDeterminer(anna[1], anna[1])
    time = fixed("vor_1 zwei_2 Tagen_3", "past")
    return Sentence(clause(verb("arbeiten"), noun("Bruder", form), PERFECT, time=time))


def stranded_preposition():
    who = QuestionPronoun(("wer", "wen", "wem"), "who")
    on = Prepositional(Preposition("auf", "for", de.ACCUSATIVE), who)
    main = clause(verb("warten"), pronoun(de.DU, en.YOU), ("present", "progressive"), oblique=on)
    main.german_front, main.english_front = on, who
    return Sentence(main, Mood.QUESTION)


def profession():
    main = clause(verb("sein", trait="be"), person("Peter"), predicate=None)
    main.predicate = Profession(word(lexicon.NOUNS, 0, 0, name_of("Arzt")))
    return Sentence(main)


def particle_and_agreement():
    couple = Coordination(person("Paul"), fixed("und", "and"), person("Lena"))
    main = clause(verb("aufräumen"), couple, direct=noun("Küche"), particle="ja")
    return Sentence(main)


def adjectives_and_object_first():
    ball = noun("Ball", adjectives=[adjective("alt"), adjective("rot")])
    time = fixed("morgen_1 früh_2", "future")
    main = clause(verb("kaufen"), noun("Student"), ("present", "future"), direct=ball, time=time)
    main.german_front = ball
    return Sentence(main)


def weak_noun_in_the_dative():
    return Sentence(
        clause(
            verb("helfen"),
            noun("Onkel", (de.ICH.possessive, en.ME.possessive)),
            recipient=noun("Junge"),
        )
    )


def frequency():
    main = clause(verb("sein", trait="be"), i(), ("preterite", "past"))
    main.predicate = Predicate(adjective("müde"), degree=fixed("sehr", "degree"))
    second = clause(verb("tanzen"), she(), middle=fixed("oft", "often"))
    return Sentence(main, joined=Subordinate(fixed("aber", "but"), second))


def reflexive():
    who = noun("Polizist", plural=True)
    on = Prepositional(Preposition("auf", "to", de.ACCUSATIVE), noun("Gast"))
    main = clause(verb("freuen"), who, ("perfect", "past"), oblique=on)
    return Sentence(main)


GOLDEN = [
    (separable, "er ruft seine Mutter an .", "he calls his mother .", "0-0 1-1 4-1 2-2 3-3 5-4"),
    (
        separable_at_the_end,
        "der Hund bellt , weil Anna ihre Mutter anruft .",
        "the dog barks because Anna calls her mother .",
        "0-0 1-1 2-2 4-3 5-4 8-5 6-6 7-7 9-8",
    ),
    (
        perfect,
        "gestern hat der Mann den Hund im Park gesehen .",
        "the man saw the dog in the park yesterday .",
        "2-0 3-1 8-2 4-3 5-4 6-5 6-6 7-7 0-8 9-9",
    ),
    (
        question_with_did,
        "hat der Mann den Hund gesehen ?",
        "did the man see the dog ?",
        "0-0 1-1 2-2 5-3 3-4 4-5 6-6",
    ),
    (
        motion_and_sein,
        "die Jungen sind zur Bibliothek gegangen .",
        "the boys went to the library .",
        "0-0 1-1 5-2 3-3 3-4 4-5 6-6",
    ),
    (
        modal,
        "das Mädchen muss das Buch lesen .",
        "the girl has to read the book .",
        "0-0 1-1 2-2 5-4 3-5 4-6 6-7",
    ),
    (
        modal_at_the_end,
        "Lena hat gesagt , dass sie aufstehen wollte .",
        "Lena said that she wanted to get up .",
        "0-0 2-1 4-2 5-3 7-4 6-6 6-7 8-8",
    ),
    (gern, "die Frau singt gern .", "the woman likes to sing .", "0-0 1-1 3-2 2-4 4-5"),
    (
        compound,
        "die Frau macht die Haustür auf .",
        "the woman opens the front door .",
        "0-0 1-1 2-2 5-2 3-3 4-4 4-5 6-6",
    ),
    (not_a, "ich habe keinen Hund .", "I do not have a dog .", "0-0 2-2 1-3 2-4 3-5 4-6"),
    (no, "ich habe keinen Hund .", "I have no dog .", "0-0 1-1 2-2 3-3 4-4"),
    (
        cannot,
        "ich kann nicht einschlafen .",
        "I cannot fall asleep .",
        "0-0 1-1 2-1 3-2 3-3 4-4",
    ),
    (
        nicht_before_the_place,
        "ich habe den Hund nicht im Park gesehen .",
        "I did not see the dog in the park .",
        "0-0 1-1 4-2 7-3 2-4 3-5 5-6 5-7 6-8 8-9",
    ),
    (
        infinitive,
        "er versucht , seine Mutter anzurufen .",
        "he tries to call his mother .",
        "0-0 1-1 5-2 5-3 3-4 4-5 6-6",
    ),
    (
        infinitive_with_zu,
        "sie versucht , einen Apfel zu kaufen .",
        "she tries to buy an apple .",
        "0-0 1-1 5-2 6-3 3-4 4-5 7-6",
    ),
    (
        relative,
        "der Junge , den ich kenne , schläft .",
        "the boy I know sleeps .",
        "0-0 1-1 4-2 5-3 7-4 8-5",
    ),
    (
        relative_behind_the_verbs,
        "die Katze hat den Hund gehört , der gebellt hat .",
        "the cat heard the dog that barked .",
        "0-0 1-1 5-2 3-3 4-4 7-5 8-6 10-7",
    ),
    (
        existence,
        "auf dem Tisch liegt ein Apfel .",
        "there is an apple on the table .",
        "3-1 4-2 5-3 0-4 1-5 2-6 6-7",
    ),
    (pronoun_objects, "sie gibt es ihm .", "she gives it to him .", "0-0 1-1 2-2 3-4 4-5"),
    (
        recipient,
        "der Lehrer gibt dem Kind einen Ball .",
        "the teacher gives the child a ball .",
        "0-0 1-1 2-2 3-3 4-4 5-5 6-6 7-7",
    ),
    (
        swapped,
        "dem Kind gefällt das Buch .",
        "the child likes the book .",
        "0-0 1-1 2-2 3-3 4-4 5-5",
    ),
    (request, "setz dich bitte !", "please sit down !", "2-0 0-1 0-2 3-3"),
    (
        request_with_raised_vowel,
        "gib mir doch mal das Brot !",
        "give me the bread !",
        "0-0 1-1 4-2 5-3 6-4",
    ),
    (
        comparison_at_the_end,
        "Anna glaubt , dass das Auto teurer ist als der Hut .",
        "Anna believes the car is more expensive than the hat .",
        "0-0 1-1 4-2 5-3 7-4 6-5 6-6 8-7 9-8 10-9 11-10",
    ),
    (
        condition_first,
        "wenn es regnet , wird er zu Hause bleiben .",
        "if it rains , he will stay at home .",
        "0-0 1-1 2-2 3-3 5-4 4-5 8-6 6-7 7-8 9-9",
    ),
    (
        particle_verb_with_pronoun,
        "sie holt ihn ab .",
        "she picks him up .",
        "0-0 1-1 3-1 2-2 1-3 3-3 4-4",
    ),
    (
        days_ago,
        "Annas Bruder hat vor zwei Tagen gearbeitet .",
        "Anna 's brother worked two days ago .",
        "0-0 0-1 1-2 6-3 4-4 5-5 3-6 7-7",
    ),
    (
        stranded_preposition,
        "auf wen wartest du ?",
        "who are you waiting for ?",
        "1-0 3-2 2-3 0-4 4-5",
    ),
    (profession, "Peter ist Arzt .", "Peter is a doctor .", "0-0 1-1 2-3 3-4"),
    (
        particle_and_agreement,
        "Paul und Lena räumen ja die Küche auf .",
        "Paul and Lena tidy up the kitchen .",
        "0-0 1-1 2-2 3-3 3-4 7-3 7-4 5-5 6-6 8-7",
    ),
    (
        adjectives_and_object_first,
        "den alten roten Ball kauft der Student morgen früh .",
        "the student will buy the old red ball tomorrow morning .",
        "5-0 6-1 4-3 0-4 1-5 2-6 3-7 7-8 8-9 9-10",
    ),
    (
        weak_noun_in_the_dative,
        "mein Onkel hilft dem Jungen .",
        "my uncle helps the boy .",
        "0-0 1-1 2-2 3-3 4-4 5-5",
    ),
    (
        frequency,
        "ich war sehr müde , aber sie tanzt oft .",
        "I was very tired , but she often dances .",
        "0-0 1-1 2-2 3-3 4-4 5-5 6-6 8-7 7-8 9-9",
    ),
    (
        reflexive,
        "die Polizisten haben sich auf den Gast gefreut .",
        "the police officers looked forward to the guest .",
        "0-0 1-1 1-2 7-3 7-4 4-5 5-6 6-7 8-8",
    ),
]


@pytest.mark.parametrize(
    ("build", "german", "english", "links"), GOLDEN, ids=[row[0].__name__ for row in GOLDEN]
)
def test_a_meaning_is_worded_and_linked(build, german, english, links) -> None:
    pair = render(build())
    assert (pair.source, pair.target) == (german, english)
    assert pair.links == parse_links(links).sure


@pytest.mark.parametrize(
    ("singular", "forms"),
    [
        ("Hund", ("der Hund", "den Hund", "dem Hund")),
        ("Katze", ("die Katze", "die Katze", "der Katze")),
        ("Pferd", ("das Pferd", "das Pferd", "dem Pferd")),
        ("Student", ("der Student", "den Studenten", "dem Studenten")),
    ],
)
def test_articles_agree(singular, forms) -> None:
    for case, expected in enumerate(forms):
        tokens = phrase(noun(singular), case, [])
        assert " ".join(word for word, _ in tokens) == expected


@pytest.mark.parametrize(
    ("articles", "plural", "forms"),
    [
        (THE, False, ("der kleine Ball", "den kleinen Ball", "dem kleinen Ball")),
        (A, False, ("ein kleiner Ball", "einen kleinen Ball", "einem kleinen Ball")),
        (THE, True, ("die kleinen Bälle", "die kleinen Bälle", "den kleinen Bällen")),
        (BARE, True, ("kleine Bälle", "kleine Bälle", "kleinen Bällen")),
        (NO, True, ("keine kleinen Bälle", "keine kleinen Bälle", "keinen kleinen Bällen")),
    ],
)
def test_adjectives_agree(articles, plural, forms) -> None:
    meaning = noun("Ball", articles, plural=plural, adjectives=[adjective("klein")])
    for case, expected in enumerate(forms):
        assert " ".join(word for word, _ in phrase(meaning, case, [])) == expected
