"""German inflection: nouns, determiners, adjectives, pronouns and verbs.

Cases, genders and persons are small integers that index the paradigms: nominative, accusative,
dative; masculine, feminine, neuter, plural; *ich, du, er, wir, ihr, sie*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

NOMINATIVE: Final = 0
ACCUSATIVE: Final = 1
DATIVE: Final = 2
MASCULINE: Final = 0
FEMININE: Final = 1
NEUTER: Final = 2
PLURAL: Final = 3

Paradigm = tuple[tuple[str, ...], ...]
"""Forms by case, then by gender (the plural is the fourth)."""

ARTICLES: Final = {"der": MASCULINE, "die": FEMININE, "das": NEUTER}

# What follows a determiner of the kind, by case and gender: of the determiner itself, if it
# declines like `dieser` or like `ein`, and of the adjective behind it.
_STRONG = (("er", "e", "es", "e"), ("en", "e", "es", "e"), ("em", "er", "em", "en"))
_EIN = (("", "e", "", "e"), ("en", "e", "", "e"), ("em", "er", "em", "en"))
_WEAK = (("e", "e", "e", "en"), ("en", "e", "e", "en"), ("en", "en", "en", "en"))
_MIXED = (("er", "e", "es", "en"), ("en", "e", "es", "en"), ("en", "en", "en", "en"))

CONTRACTIONS: Final = {
    ("in", "dem"): "im",
    ("in", "das"): "ins",
    ("an", "dem"): "am",
    ("an", "das"): "ans",
    ("zu", "dem"): "zum",
    ("zu", "der"): "zur",
}


@dataclass(frozen=True, slots=True)
class GermanNoun:
    """A noun; of the weak declension when all cases but the nominative end in -(e)n."""

    singular: str
    plural: str
    gender: int
    weak: bool = False

    def form(self, case: int, plural: bool) -> str:
        """The form in a case and number."""
        if plural:
            add_n = case == DATIVE and not self.plural.endswith(("n", "s"))
            return self.plural + "n" * add_n
        return self.plural if self.weak and case != NOMINATIVE else self.singular


@dataclass(frozen=True, slots=True)
class GermanDeterminer:
    """A determiner's forms and the adjective endings that it asks for.

    ``late`` determiners make a phrase that brings something new, which German puts behind the
    adverbs of the clause.
    """

    forms: Paradigm
    endings: Paradigm
    late: bool = False


def _decline(stem: str, endings: Paradigm) -> Paradigm:
    return tuple(tuple(stem + ending for ending in row) for row in endings)


def der_word(stem: str, *, late: bool = False, strong_adjective: bool = False) -> GermanDeterminer:
    """A determiner that declines like *dieser*."""
    return GermanDeterminer(
        _decline(stem, _STRONG), _STRONG if strong_adjective else _WEAK, late=late
    )


def ein_word(stem: str, *, late: bool = False) -> GermanDeterminer:
    """A determiner that declines like *ein*, *kein* and *mein*; ``euer`` loses its second e."""
    forms = _decline(stem, _EIN)
    if stem == "euer":
        forms = tuple(
            tuple(form if form == stem else "eur" + form[4:] for form in row) for row in forms
        )
    return GermanDeterminer(forms, _MIXED, late=late)


def invariant(form: str, *, late: bool = False) -> GermanDeterminer:
    """A determiner with a single form, or with none (``""``), before strong adjectives."""
    return GermanDeterminer(((form,) * 4,) * 3, _STRONG, late=late)


DEFINITE: Final = GermanDeterminer(
    (("der", "die", "das", "die"), ("den", "die", "das", "die"), ("dem", "der", "dem", "den")),
    _WEAK,
)

RELATIVE: Final[Paradigm] = (*DEFINITE.forms[:2], ("dem", "der", "dem", "denen"))


@dataclass(frozen=True, slots=True)
class GermanAdjective:
    """An adjective: predicative form, stem before endings, comparative (or None)."""

    base: str
    stem: str
    comparative: str | None


@dataclass(frozen=True, slots=True)
class GermanPronoun:
    """A personal pronoun: its cases, its agreement (0–5), its reflexive and its possessive."""

    forms: tuple[str, str, str]
    agreement: int
    reflexive: str
    possessive: GermanDeterminer


ICH: Final = GermanPronoun(("ich", "mich", "mir"), 0, "mich", ein_word("mein"))
DU: Final = GermanPronoun(("du", "dich", "dir"), 1, "dich", ein_word("dein"))
ER: Final = GermanPronoun(("er", "ihn", "ihm"), 2, "sich", ein_word("sein"))
SIE_SINGULAR: Final = GermanPronoun(("sie", "sie", "ihr"), 2, "sich", ein_word("ihr"))
ES: Final = GermanPronoun(("es", "es", "ihm"), 2, "sich", ein_word("sein"))
WIR: Final = GermanPronoun(("wir", "uns", "uns"), 3, "uns", ein_word("unser"))
IHR: Final = GermanPronoun(("ihr", "euch", "euch"), 4, "euch", ein_word("euer"))
SIE_PLURAL: Final = GermanPronoun(("sie", "sie", "ihnen"), 5, "sich", ein_word("ihr"))
SIE_POLITE: Final = GermanPronoun(("Sie", "Sie", "Ihnen"), 5, "sich", ein_word("Ihr"))

BY_GENDER: Final = (ER, SIE_SINGULAR, ES, SIE_PLURAL)
"""The pronoun of the third person for each gender and the plural."""


@dataclass(frozen=True, slots=True)
class GermanVerb:
    """A verb's forms, without its separable ``prefix`` unless said otherwise."""

    prefix: str
    stem_infinitive: str
    present: tuple[str, ...]
    preterite: tuple[str, ...]
    stem_participle: str
    auxiliary: str
    imperative: str
    reflexive: bool

    @property
    def infinitive(self) -> str:
        """The whole infinitive (*anrufen*)."""
        return self.prefix + self.stem_infinitive

    @property
    def participle(self) -> str:
        """The whole past participle (*angerufen*)."""
        return self.prefix + self.stem_participle


_PRESENT: Final = {
    "sein": "bin bist ist sind seid sind",
    "haben": "habe hast hat haben habt haben",
    "werden": "werde wirst wird werden werdet werden",
    "wissen": "weiß weißt weiß wissen wisst wissen",
    "mögen": "mag magst mag mögen mögt mögen",
    "können": "kann kannst kann können könnt können",
    "müssen": "muss musst muss müssen müsst müssen",
    "wollen": "will willst will wollen wollt wollen",
    "sollen": "soll sollst soll sollen sollt sollen",
    "dürfen": "darf darfst darf dürfen dürft dürfen",
    "möchten": "möchte möchtest möchte möchten möchtet möchten",
}
# Stems such as wart-, find-, öffn- and regn- need an e before -t and -st; lern- and wohn- do not.
_NEEDS_E = re.compile(r"([td]|[^aeiouäöülrhmn][nm])$")
_SIBILANT = ("s", "ß", "z", "x")
_INSEPARABLE = re.compile(r"^(be|ver|er|ge|ent|zer)|ieren$")


def _present(infinitive: str, third: str) -> tuple[str, ...]:
    if infinitive in _PRESENT:
        return tuple(_PRESENT[infinitive].split())
    stem = infinitive.removesuffix("n").removesuffix("e")
    root = third[:-1]
    second = third if root.endswith(_SIBILANT) else root + "st"
    ihr = stem + ("et" if _NEEDS_E.search(stem) else "t")
    return (stem + "e", second, third, infinitive, ihr, infinitive)


def _preterite(third: str) -> tuple[str, ...]:
    if third.endswith("te"):
        return (third, third + "st", third, third + "n", third + "t", third + "n")
    st = "est" if third.endswith(("t", "d", *_SIBILANT)) else "st"
    t = "et" if third.endswith(("t", "d")) else "t"
    return (third, third + st, third, third + "en", third + t, third + "en")


def german_verb(
    infinitive: str,
    third: str | None = None,
    preterite: str | None = None,
    participle: str | None = None,
    *,
    prefix: str = "",
    auxiliary: str = "haben",
    reflexive: bool = False,
) -> GermanVerb:
    """Build a verb from its principal parts; parts that are not given are regular."""
    stem = infinitive.removesuffix("n").removesuffix("e")
    e = "e" if _NEEDS_E.search(stem) else ""
    regular = third is None
    third = third or f"{stem}{e}t"
    preterite = preterite or f"{stem}{e}te"
    ge = "" if _INSEPARABLE.search(infinitive) else "ge"
    participle = participle or f"{ge}{stem}{e}t"
    # Verbs that change e to i do so in the imperative too (gib), those with an umlaut do not.
    raised = not regular and _raises(stem, third)
    imperative = third[:-1] if raised else stem + e
    if infinitive == "sein":
        imperative = "sei"
    return GermanVerb(
        prefix,
        infinitive,
        _present(infinitive, third),
        _preterite(preterite),
        participle,
        auxiliary,
        imperative,
        reflexive,
    )


def _raises(stem: str, third: str) -> bool:
    """Whether the stem's e becomes i or ie in the third person (gibt, liest)."""
    vowels = re.compile(r"[aeiouäöü]+")
    old, new = vowels.findall(stem), vowels.findall(third)
    return bool(old) and old[-1] == "e" and new[len(old) - 1] in ("i", "ie")


HABEN: Final = german_verb("haben", "hat", "hatte", "gehabt")
SEIN: Final = german_verb("sein", "ist", "war", "gewesen", auxiliary="sein")
WERDEN: Final = german_verb("werden", "wird", "wurde", "geworden", auxiliary="sein")
