"""Every link of the built-in corpus against the lexicon and a table of function words."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import pytest
from demo_grammar import SyntheticPair, lexicon, make

# German words, separated by spaces, then the English words that they may be linked to.
FUNCTION_WORDS = """
der die das den dem im ins am ans zum zur | the
der die das den dem denen | who that which
ein eine einen einem einer | a an
kein keine keinen keinem keiner | no not a an any cannot
dieser diese dieses diesen diesem | this these
jeder jede jedes jeden jedem | every
alle allen | all the
viele vielen | many
einige einigen | some
mein meine meinen meinem meiner | my
dein deine deinen deinem deiner | your
sein seine seinen seinem seiner | his its her
ihr ihre ihren ihrem ihrer | her their its
Ihr Ihre Ihren Ihrem Ihrer | your
unser unsere unseren unserem unserer | our
euer eure euren eurem eurer | your
ich mich mir | I me
du dich dir | you
er ihn ihm | he him it
es | it she her
sie | she her they them it
ihr | she her it you
wir uns | we us
ihr euch | you
ihnen | they them
Sie Ihnen | you
wer wen wem | who
was | what
habe hast hat haben habt | have has did
bin bist ist sind seid | have has did
werde wirst wird werden werdet | will
kann kannst können könnt konnte konntest konnten konntet | can could cannot
muss musst müssen müsst musste musstest mussten musstet | must have has had
will willst wollen wollt wollte wolltest wollten wolltet | want wants wanted
soll sollst sollen sollt | should
darf darfst dürfen dürft | may am is are allowed
durfte durftest durften durftet | was were allowed
möchte möchtest möchten möchtet | would like
gern gerne | like likes liked
nicht | not cannot
als | than
zu | to
in im ins | in into to
an am ans | at to of
auf | on at to for after
zu zum zur nach | to
mit | with to
vor | in front of
hinter | behind
neben | next to
. | .
? | ?
! | !
, | ,
"""

# Words that may have no counterpart in the other language, and why.
# English has fewer commas; particles; reflexive pronouns; auxiliaries of a past tense that is one
# word in English; relative pronouns and *dass* if English drops them; *sich erinnern an*.
GERMAN_ALONE = {
    *(",", "ja", "doch", "denn", "mal", "mich", "dich", "sich", "uns", "euch", "dass", "an"),
    *("der", "die", "das", "den", "dem", "denen"),
    *("habe", "hast", "hat", "haben", "habt", "bin", "bist", "ist", "sind", "seid"),
}
# The comma after a comment; *to* of an infinitive after a modal verb, or of a German dative;
# *there*; the article of a profession; auxiliaries if German has a simple tense.
ENGLISH_ALONE = {",", "to", "there", "a", "an", "do", "does", "did", "am", "is", "are", "will"}


@pytest.fixture(scope="module")
def pairs() -> list[SyntheticPair]:
    return [pair for part in make().values() for pair in part]


def german_forms(lexeme) -> set[str]:
    """All words that may stand for a lexeme with a paradigm."""
    forms: set[str] = set()
    for option in lexeme.german:
        if hasattr(option, "gender"):
            forms |= {option.form(case, plural) for case, plural in product(range(3), (0, 1))}
        elif hasattr(option, "stem_infinitive"):
            loose = {*option.present, *option.preterite, option.imperative}
            whole = {option.stem_infinitive, option.stem_participle, *loose}
            forms |= loose | {option.prefix + form for form in whole} | {option.prefix}
            forms.add(f"{option.prefix}zu{option.stem_infinitive}")
        elif hasattr(option, "comparative"):
            endings = ("e", "er", "es", "en", "em")
            forms |= {option.base, *(option.stem + ending for ending in endings)}
            forms.add(option.comparative)
        else:
            forms |= {form for row in option.forms for form in row}
    return forms - {"", None}


def english_forms(lexeme) -> set[str]:
    words: set[str] = set()
    for option in lexeme.english:
        if hasattr(option, "particle"):
            words |= {option.base, *option.present, *option.past, option.participle, option.ing}
            words |= {*option.particle}
        elif hasattr(option, "comparative"):
            words |= {option.base, *(option.comparative or "").split()}
        else:
            words |= {*option.singular.split(), *option.plural.split()}
    return words


def allowed_links() -> tuple[set[tuple[str, str]], set[str], set[str]]:
    """Pairs of words that share a lexeme, and the content words of either side."""
    allowed: set[tuple[str, str]] = set()
    german_content: set[str] = set()
    english_content: set[str] = set()
    for lexeme in (*lexicon.NOUNS, *lexicon.VERBS, *lexicon.ADJECTIVES, *lexicon.NUMBERS):
        german, english = german_forms(lexeme), english_forms(lexeme)
        allowed |= set(product(german, english))
        german_content |= german
        english_content |= english
        # The *zu* of an infinitive is inside a separable verb: anzurufen, to call.
        allowed |= {(form, "to") for form in german if "zu" in form}
    for lexeme in (*lexicon.NAMES, *lexicon.PHRASES):
        for german, english in product(lexeme.german, lexeme.english):
            for (word, mine), (other, theirs) in product(
                {*german.words, *german.oblique}, {*english.words, *english.oblique}
            ):
                if set(mine) & set(theirs):
                    allowed.add((word, other))
    for lexeme in lexicon.NAMES:
        (german, _), *_ = lexeme.german[0].words
        (english, _), *_ = lexeme.english[0].words
        allowed |= {(german + "s", english), (german + "s", "'s")}
    for line in FUNCTION_WORDS.strip().splitlines():
        german, _, english = line.partition(" | ")
        allowed |= set(product(german.split(), english.split()))
    return allowed, german_content, english_content


ALLOWED, GERMAN_CONTENT, ENGLISH_CONTENT = allowed_links()


def test_every_link_is_allowed(pairs) -> None:
    wrong = set()
    for pair in pairs:
        source, target = pair.source.split(" "), pair.target.split(" ")
        for i, j in pair.links:
            if (source[i], target[j]) not in ALLOWED:
                wrong.add((source[i], target[j]))
    assert not wrong


def test_wrong_links_are_not_allowed() -> None:
    assert ("Hund", "dog") in ALLOWED
    assert ("ruft", "calls") in ALLOWED
    for wrong in [("Hund", "cat"), ("der", "a"), ("nicht", "the"), ("an", "dog"), ("zu", "see")]:
        assert wrong not in ALLOWED


def test_only_words_without_counterpart_are_unlinked(pairs) -> None:
    alone = defaultdict(set)
    for pair in pairs:
        linked = {i for i, _ in pair.links}, {j for _, j in pair.links}
        for side, text in enumerate((pair.source, pair.target)):
            for place, word in enumerate(text.split(" ")):
                if place not in linked[side]:
                    alone[side].add(word)
    assert alone[0] <= GERMAN_ALONE
    assert alone[1] <= ENGLISH_ALONE
    # All of them occur, so the tables are not larger than necessary.
    assert alone[0] >= GERMAN_ALONE - {"denen", "der", "seid", "habt", "bist"}
    assert alone[1] >= ENGLISH_ALONE - {"an"}


def test_most_words_are_linked(pairs) -> None:
    english = sum(len(pair.target.split(" ")) for pair in pairs)
    linked = sum(len({j for _, j in pair.links}) for pair in pairs)
    assert 0.93 < linked / english < 0.99


def test_a_german_noun_has_one_counterpart(pairs) -> None:
    # No German noun has two counterparts unless it is two words in English.
    compounds = {
        word
        for lexeme in lexicon.NOUNS
        if any(" " in option.singular for option in lexeme.english)
        for word in german_forms(lexeme)
    }
    nouns = {word for lexeme in lexicon.NOUNS for word in german_forms(lexeme)} - compounds
    for pair in pairs:
        source = pair.source.split(" ")
        for i, word in enumerate(source):
            if word in nouns:
                assert sum(place == i for place, _ in pair.links) == 1, pair
