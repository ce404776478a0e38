"""Words of a made-up language: spelling, phonemes and gold links by rule, from a seed.

The spelling is regular, but depends on context: digraphs, silent letters, ``c``, ``g`` and ``n``
before different letters, double letters, final devoicing, and vowels whose length and quality
depend on stress and on the letters that follow.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from pyro_align.data.links import GoldLinks, format_links

SIZES: Final = {"train": 2000, "val": 200, "test": 200}
SEED: Final = 1

_SYLLABLES: Final = (1, 2, 2, 2, 2, 3, 3, 3, 4)
_ONSETS: Final = [
    *("", "b", "c", "ch", "d", "f", "g", "gu", "h", "l", "m", "n", "p", "ph", "qu", "r", "s"),
    *("sh", "t", "th", "v", "z", "st", "tr", "br", "pl", "cl", "gr", "sc"),
]
_NUCLEI: Final = [*"aaaeeeiioou", "ai", "ee", "oo", "au", "ou"]
_CODAS: Final = [*[""] * 9, *"nnrrlstmdgbx", "ng", "ck", "ll", "tt", "ss", "nt", "rd", "st"]
_ENDINGS: Final = ["", "", "", "e", "e", "tia", "tion"]


@dataclass(frozen=True)
class MadeWord:
    """A word, its pronunciation and the links between them.

    Attributes:
        spelling: the letters.
        phonemes: the phonemes; stress is a part of its vowel (``ˈaː``).
        links: 0-based positions (letter, phoneme). A phoneme of one letter has a sure link. A
            phoneme of several letters has a possible link to each, since any of them is right.
            Silent letters have no link.
    """

    spelling: str
    phonemes: tuple[str, ...]
    links: GoldLinks


_CONSONANTS: Final = [
    (re.compile(pattern), phonemes)
    for pattern, *phonemes in (
        ("sh", "ʃ"),
        ("ch", "t͡ʃ"),
        ("th", "θ"),
        ("ph", "f"),
        ("ck", "k"),
        ("ti(?=[aou])", "ʃ"),
        ("ng(?![aeiou])", "ŋ"),
        ("n(?=c[^eih]|ck|g[^ei]|q|x)", "ŋ"),
        ("gu(?=[ei])", "ɡ"),
        (r"([bdflmnprstz])\1", r"\1"),
        ("c(?=[ei])", "s"),
        ("g(?=[ei])", "d͡ʒ"),
        ("(?<=[aeiou])s(?=[aeiou])", "z"),
        ("^h", ""),
        ("x", "k", "s"),
        ("q", "k"),
        ("(?<=q)u", "w"),
        ("b$", "p"),
        ("d$", "t"),
        ("g$", "k"),
        ("v$", "f"),
        ("z$", "s"),
        ("c", "k"),
        ("g", "ɡ"),
        ("[bdfhlmnprstvz]", r"\g<0>"),
    )
]
"""Consonants, the first pattern that matches at a letter decides: letters, then their phonemes."""

_VOWEL: Final = re.compile("ai|au|ee|oo|ou|(?<!q)u|[aeio]")
_SHORT: Final = {"a": "a", "e": "ɛ", "i": "ɪ", "o": "ɔ", "u": "ʊ"}
_LONG: Final = {
    **{"a": "aː", "e": "eː", "i": "iː", "o": "oː", "u": "uː"},
    **{"ai": "ɛː", "ee": "iː", "oo": "uː", "au": "ɔː", "ou": "aʊ"},
}
_ONE_CONSONANT: Final = "(?:[sctp]h|qu|gu(?=[ei])|[bcdfghlmnprstvz])"
_OPEN: Final = re.compile(_ONE_CONSONANT + "[aeiou]")
"""What follows a vowel that is long if it is stressed."""
_SILENT_E: Final = re.compile(_ONE_CONSONANT + "e$")
"""What follows a vowel that is long in any case; this ``e`` is silent."""


def pronounce(spelling: str) -> MadeWord:
    """Pronounce a word by the rules of the language."""
    found: list[tuple[range, str]] = []
    vowels: dict[int, re.Match[str]] = {}
    place = 0
    while place < len(spelling):
        if place == len(spelling) - 1 and vowels and _is_before_silent_e([*vowels.values()][-1]):
            break
        if vowel := _VOWEL.match(spelling, place):
            vowels[len(found)] = vowel
            found.append((range(*vowel.span()), vowel[0]))
            place = vowel.end()
        else:
            consonant, phonemes = next(
                (match, phonemes)
                for pattern, phonemes in _CONSONANTS
                if (match := pattern.match(spelling, place))
            )
            letters = range(*consonant.span())
            found += [(letters, consonant.expand(phoneme)) for phoneme in phonemes]
            place = consonant.end()
    stressed = _stressed([*vowels.values()])
    for index, vowel in vowels.items():
        found[index] = (found[index][0], _vowel_phoneme(vowel, vowel is stressed))
    heard = [(letters, phoneme) for letters, phoneme in found if phoneme]
    possible = {(letter, i) for i, (letters, _) in enumerate(heard) for letter in letters}
    sure = {(letters[0], i) for i, (letters, _) in enumerate(heard) if len(letters) == 1}
    links = GoldLinks(frozenset(sure), frozenset(possible))
    return MadeWord(spelling, tuple(phoneme for _, phoneme in heard), links)


def _is_before_silent_e(vowel: re.Match[str]) -> bool:
    return _SILENT_E.match(vowel.string, vowel.end()) is not None


def _stressed(vowels: list[re.Match[str]]) -> re.Match[str]:
    """The last vowel if it is long or two consonants follow, otherwise the last but one."""
    last = vowels[-1]
    is_heavy = len(last[0]) == 2 or _is_before_silent_e(last) or len(last.string) - last.end() > 1
    return last if is_heavy or len(vowels) == 1 else vowels[-2]


def _vowel_phoneme(vowel: re.Match[str], is_stressed: bool) -> str:
    letters = vowel[0]
    is_open = _OPEN.match(vowel.string, vowel.end()) is not None
    if len(letters) == 2 or _is_before_silent_e(vowel) or (is_stressed and is_open):
        phoneme = _LONG[letters]
    else:
        phoneme = "ə" if letters == "e" and not is_stressed else _SHORT[letters]
    return f"ˈ{phoneme}" if is_stressed else phoneme


def spellings(stream: str) -> Iterator[str]:
    """Endless distinct words; a stream's name decides which."""
    # Strings are hashed by SHA-512 into the seed, and Random.choice is the same everywhere.
    random = Random(stream)
    seen: set[str] = set()
    while True:
        syllables = [
            random.choice(part)
            for _ in range(random.choice(_SYLLABLES))
            for part in (_ONSETS, _NUCLEI, _CODAS)
        ]
        word = "".join([*syllables, random.choice(_ENDINGS)])
        if 3 <= len(word) <= 12 and not _UNLIKELY.search(word) and word not in seen:
            seen.add(word)
            yield word


_UNLIKELY: Final = re.compile(r"(.)\1\1|[aeiou]{4}|[^aeiou]{4}")


def make() -> dict[str, list[MadeWord]]:
    """Make the words of ``train``, ``val`` and ``test``; no word occurs twice."""
    words = spellings(f"words {SEED}")
    return {part: [*map(pronounce, islice(words, size))] for part, size in SIZES.items()}


def to_tsv(words: list[MadeWord]) -> str:
    """Lines of spelling, phonemes and links (Pharaoh format), separated by tabs."""
    return "".join(
        f"{word.spelling}\t{' '.join(word.phonemes)}\t{format_links(word.links)}\n"
        for word in words
    )


def write(folder: Path) -> None:
    """Write ``words.train.tsv.gz`` and so on; the same bytes each time."""
    for part, words in make().items():
        data = gzip.compress(to_tsv(words).encode(), mtime=0)
        (folder / f"words.{part}.tsv.gz").write_bytes(data)


if __name__ == "__main__":
    write(Path(__file__).parents[1] / "pyro_align" / "data" / "demo")
