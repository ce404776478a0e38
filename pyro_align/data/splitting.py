"""Splitting forms into symbols: grapheme clusters, code points, or parts between spaces."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import regex

from pyro_align.data.normal_forms import NormalForm, NormalForms
from pyro_align.data.words import split_words

Unit = Literal["graphemes", "codepoints", "nfd"]
"""How a form is split into symbols.

- ``graphemes``: grapheme clusters, what readers see as one character (Unicode Standard Annex 29);
- ``codepoints``: Unicode code points;
- ``nfd``: code points of the canonical decomposition (NFD), which separates letters from accents
  and splits Korean syllables into letters.
"""

_SPACED = 0.95
"""Smallest share of the forms with more than one character that contain a space, if the symbols of
a column are separated by spaces."""

_MEAN_LENGTH = 2.5
"""Largest mean number of characters between spaces, if these separate symbols. Phonemes have fewer
in IPA, X-SAMPA and ARPAbet, words and syllables have more."""


@dataclass(frozen=True)
class Splitting:
    """How the forms of a column are split into symbols, and joined again.

    Attributes:
        unit: what a symbol is; not used if ``separated``.
        separated: whether the symbols of a form are separated by spaces.
        normal_form: Unicode normal form of joined forms.
    """

    unit: Unit = "graphemes"
    separated: bool = False
    normal_form: NormalForm = "NFC"

    @classmethod
    def of(
        cls, forms: Iterable[str], unit: Unit = "graphemes", separated: bool | None = None
    ) -> Splitting:
        """Find out how the forms of a text are split.

        Args:
            forms: distinct forms of a column.
            unit: what a symbol is.
            separated: whether the symbols of a form are separated by spaces; None to find out, see
                :func:`are_separated`.
        """
        forms = list(forms)
        is_separated = are_separated(forms) if separated is None else separated
        return cls(unit, is_separated, NormalForms.of(forms).common)

    def split(self, form: str) -> list[str]:
        """Split a form into symbols."""
        if self.separated:
            return split_words(unicodedata.normalize(self.normal_form, form))
        if self.unit == "nfd":
            return list(unicodedata.normalize("NFD", form))
        form = unicodedata.normalize(self.normal_form, form)
        return _graphemes(form) if self.unit == "graphemes" else list(form)

    def join(self, symbols: Iterable[str]) -> str:
        """Join symbols to a form in :attr:`normal_form`; the inverse of :meth:`split`."""
        form = (" " if self.separated else "").join(symbols)
        return unicodedata.normalize(self.normal_form, form)


def are_separated(forms: Iterable[str]) -> bool:
    """Whether the symbols of a column are separated by spaces, as in ``k æ t``.

    They are if at least 95 % of the forms with more than one character contain a space, and the
    parts between spaces have at most 2.5 characters on average. The first condition tells phonemes
    from a column with some phrases, the second from a column of phrases. Characters are grapheme
    clusters.
    """
    spaced = joined = parts = characters = 0
    for form in forms:
        words = split_words(form)
        length = sum(map(len, map(_graphemes, words)))
        if len(words) > 1:
            spaced += 1
            parts += len(words)
            characters += length
        elif length > 1:
            joined += 1
    return (
        spaced > 0
        and spaced >= _SPACED * (spaced + joined)
        and (characters <= _MEAN_LENGTH * parts)
    )


def _graphemes(form: str) -> list[str]:
    return regex.findall(r"\X", form)
