"""Paradigms against forms written by hand."""

from __future__ import annotations

import pytest
from demo_grammar import english_forms as en
from demo_grammar import lexicon
from demo_grammar import morphology as de

GERMAN = {verb.infinitive: verb for lexeme in lexicon.VERBS for verb in lexeme.german}
ENGLISH = {
    " ".join((verb.base, *verb.particle)): verb
    for lexeme in lexicon.VERBS
    for verb in lexeme.english
}
NOUNS = {noun.singular: noun for lexeme in lexicon.NOUNS for noun in lexeme.german}
ENGLISH_NOUNS = {noun.singular: noun for lexeme in lexicon.NOUNS for noun in lexeme.english}


@pytest.mark.parametrize(
    ("infinitive", "present"),
    [
        ("kaufen", "kaufe kaufst kauft kaufen kauft kaufen"),
        ("arbeiten", "arbeite arbeitest arbeitet arbeiten arbeitet arbeiten"),
        ("finden", "finde findest findet finden findet finden"),
        ("öffnen", "öffne öffnest öffnet öffnen öffnet öffnen"),
        ("tanzen", "tanze tanzt tanzt tanzen tanzt tanzen"),
        ("lesen", "lese liest liest lesen lest lesen"),
        ("essen", "esse isst isst essen esst essen"),
        ("sehen", "sehe siehst sieht sehen seht sehen"),
        ("waschen", "wasche wäschst wäscht waschen wascht waschen"),
        ("laufen", "laufe läufst läuft laufen lauft laufen"),
        ("einladen", "lade lädst lädt laden ladet laden"),
        ("anfangen", "fange fängst fängt fangen fangt fangen"),
        ("schließen", "schließe schließt schließt schließen schließt schließen"),
        ("sitzen", "sitze sitzt sitzt sitzen sitzt sitzen"),
        ("wissen", "weiß weißt weiß wissen wisst wissen"),
        ("sein", "bin bist ist sind seid sind"),
        ("haben", "habe hast hat haben habt haben"),
        ("mögen", "mag magst mag mögen mögt mögen"),
        ("erinnern", "erinnere erinnerst erinnert erinnern erinnert erinnern"),
    ],
)
def test_german_present(infinitive, present) -> None:
    assert " ".join(GERMAN[infinitive].present) == present


@pytest.mark.parametrize(
    ("infinitive", "preterite"),
    [
        ("kaufen", "kaufte kauftest kaufte kauften kauftet kauften"),
        ("arbeiten", "arbeitete arbeitetest arbeitete arbeiteten arbeitetet arbeiteten"),
        ("gehen", "ging gingst ging gingen gingt gingen"),
        ("finden", "fand fandest fand fanden fandet fanden"),
        ("sein", "war warst war waren wart waren"),
        ("mitbringen", "brachte brachtest brachte brachten brachtet brachten"),
        ("lesen", "las lasest las lasen last lasen"),
    ],
)
def test_german_preterite(infinitive, preterite) -> None:
    assert " ".join(GERMAN[infinitive].preterite) == preterite


@pytest.mark.parametrize(
    ("infinitive", "auxiliary", "participle"),
    [
        ("anrufen", "haben", "angerufen"),
        ("aufräumen", "haben", "aufgeräumt"),
        ("einkaufen", "haben", "eingekauft"),
        ("aufpassen", "haben", "aufgepasst"),
        ("aufwachen", "sein", "aufgewacht"),
        ("einschlafen", "sein", "eingeschlafen"),
        ("zurückkommen", "sein", "zurückgekommen"),
        ("folgen", "sein", "gefolgt"),
        ("bleiben", "sein", "geblieben"),
        ("reparieren", "haben", "repariert"),
        ("fotografieren", "haben", "fotografiert"),
        ("besuchen", "haben", "besucht"),
        ("verkaufen", "haben", "verkauft"),
        ("erzählen", "haben", "erzählt"),
        ("gefallen", "haben", "gefallen"),
        ("arbeiten", "haben", "gearbeitet"),
        ("öffnen", "haben", "geöffnet"),
        ("bellen", "haben", "gebellt"),
        ("regnen", "haben", "geregnet"),
        ("reden", "haben", "geredet"),
        ("beeilen", "haben", "beeilt"),
    ],
)
def test_german_perfect(infinitive, auxiliary, participle) -> None:
    verb = GERMAN[infinitive]
    assert (verb.auxiliary, verb.participle) == (auxiliary, participle)


@pytest.mark.parametrize(
    ("infinitive", "imperative"),
    [
        ("geben", "gib"),
        ("lesen", "lies"),
        ("essen", "iss"),
        ("helfen", "hilf"),
        ("wegwerfen", "wirf"),
        ("schlafen", "schlaf"),
        ("laufen", "lauf"),
        ("warten", "warte"),
        ("öffnen", "öffne"),
        ("einladen", "lade"),
        ("gehen", "geh"),
        ("aufstehen", "steh"),
        ("kaufen", "kauf"),
        ("sein", "sei"),
    ],
)
def test_german_imperative(infinitive, imperative) -> None:
    assert GERMAN[infinitive].imperative == imperative


@pytest.mark.parametrize(
    ("singular", "cases", "plurals"),
    [
        ("Mann", "Mann Mann Mann", "Männer Männer Männern"),
        ("Frau", "Frau Frau Frau", "Frauen Frauen Frauen"),
        ("Auto", "Auto Auto Auto", "Autos Autos Autos"),
        ("Junge", "Junge Jungen Jungen", "Jungen Jungen Jungen"),
        ("Nachbar", "Nachbar Nachbarn Nachbarn", "Nachbarn Nachbarn Nachbarn"),
        ("Student", "Student Studenten Studenten", "Studenten Studenten Studenten"),
        ("Lehrer", "Lehrer Lehrer Lehrer", "Lehrer Lehrer Lehrern"),
        ("Stuhl", "Stuhl Stuhl Stuhl", "Stühle Stühle Stühlen"),
    ],
)
def test_german_nouns(singular, cases, plurals) -> None:
    noun = NOUNS[singular]
    assert " ".join(noun.form(case, False) for case in range(3)) == cases
    assert " ".join(noun.form(case, True) for case in range(3)) == plurals


@pytest.mark.parametrize(
    ("determiner", "rows"),
    [
        (de.DEFINITE, ("der die das die", "den die das die", "dem der dem den")),
        (de.der_word("dies"), ("dieser diese dieses diese", "diesen diese dieses diese",
                               "diesem dieser diesem diesen")),
        (de.ein_word("kein"), ("kein keine kein keine", "keinen keine kein keine",
                               "keinem keiner keinem keinen")),
        (de.ein_word("euer"), ("euer eure euer eure", "euren eure euer eure",
                               "eurem eurer eurem euren")),
        (de.ein_word("unser"), ("unser unsere unser unsere", "unseren unsere unser unsere",
                                "unserem unserer unserem unseren")),
    ],
)  # fmt: skip
def test_german_determiners(determiner, rows) -> None:
    assert tuple(" ".join(row) for row in determiner.forms) == rows


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        ("call", "calls called called calling"),
        ("go", "goes went gone going"),
        ("watch television", "watches watched watched watching"),
        ("tidy up", "tidies tidied tidied tidying"),
        ("hurry", "hurries hurried hurried hurrying"),
        ("play", "plays played played playing"),
        ("dance", "dances danced danced dancing"),
        ("write", "writes wrote written writing"),
        ("lie", "lies lay lain lying"),
        ("put on", "puts put put putting"),
        ("get up", "gets got got getting"),
        ("shop", "shops shopped shopped shopping"),
        ("plan", "plans planned planned planning"),
        ("have", "has had had having"),
        ("see", "sees saw seen seeing"),
        ("fix", "fixes fixed fixed fixing"),
        ("travel", "travels travelled travelled travelling"),
        ("sit down", "sits sat sat sitting"),
    ],
)
def test_english_verbs(verb, forms) -> None:
    found = ENGLISH[verb]
    assert f"{found.present[2]} {found.past[2]} {found.participle} {found.ing}" == forms


def test_english_be() -> None:
    assert " ".join(en.BE.present) == "am are is are are are"
    assert " ".join(en.BE.past) == "was were was were were were"
    assert (en.BE.participle, en.BE.ing) == ("been", "being")


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        ("dog", "dogs"),
        ("child", "children"),
        ("mouse", "mice"),
        ("sheep", "sheep"),
        ("knife", "knives"),
        ("shelf", "shelves"),
        ("potato", "potatoes"),
        ("watch", "watches"),
        ("bus", "buses"),
        ("story", "stories"),
        ("key", "keys"),
        ("dress", "dresses"),
        ("couch", "couches"),
        ("library", "libraries"),
        ("police officer", "police officers"),
        ("bus stop", "bus stops"),
        ("man", "men"),
    ],
)
def test_english_plurals(singular, plural) -> None:
    assert ENGLISH_NOUNS[singular].plural == plural


@pytest.mark.parametrize(
    ("word", "article"),
    [("apple", "an"), ("dog", "a"), ("old", "an"), ("umbrella", "an"), ("uncle", "an"),
     ("university", "a"), ("used", "a"), ("European", "a"), ("hour", "an"), ("house", "a")],
)  # fmt: skip
def test_a_and_an(word, article) -> None:
    assert en.indefinite_article(word) == article


def test_a_compound_declines_like_its_last_part() -> None:
    compounds = [
        (whole, part)
        for whole in NOUNS.values()
        for part in NOUNS.values()
        if len(part.singular) > 2 and whole.singular.endswith(part.singular.lower())
    ]
    assert len(compounds) >= 15
    for whole, part in compounds:
        assert whole.gender == part.gender
        assert whole.plural.endswith(part.plural.lower())
