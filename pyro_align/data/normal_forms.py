"""Unicode normal forms of a text: ``é`` as one code point (NFC) or as ``e`` and an accent (NFD)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

NormalForm = Literal["NFC", "NFD"]


@dataclass(frozen=True)
class NormalForms:
    """How many forms of a text are in which Unicode normal form.

    Forms that are in NFC and in NFD, such as plain ASCII, are not counted.

    Attributes:
        composed: number of forms in NFC.
        decomposed: number of forms in NFD.
        other: number of forms in neither, for example with letters of both kinds.
    """

    composed: int = 0
    decomposed: int = 0
    other: int = 0

    @classmethod
    def of(cls, forms: Iterable[str]) -> NormalForms:
        """Count the normal forms of a text."""
        composed = decomposed = other = 0
        for form in forms:
            in_nfc = unicodedata.is_normalized("NFC", form)
            in_nfd = unicodedata.is_normalized("NFD", form)
            composed += in_nfc and not in_nfd
            decomposed += in_nfd and not in_nfc
            other += not (in_nfc or in_nfd)
        return cls(composed, decomposed, other)

    @property
    def common(self) -> NormalForm:
        """NFD if all counted forms are in NFD and there are some, otherwise NFC."""
        return "NFD" if self.decomposed and not (self.composed or self.other) else "NFC"

    def describe_mixture(self) -> str | None:
        """Describe a mixture of normal forms in one sentence; None if there is only one."""
        if not self.other and not (self.composed and self.decomposed):
            return None
        return (
            f"the text mixes Unicode normal forms: {self.composed} forms in NFC, "
            f"{self.decomposed} in NFD, {self.other} in neither; all are converted to {self.common}"
        )
