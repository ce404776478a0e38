"""Translations of lines, with scores and word links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyro_align.data.links import Link


@dataclass(frozen=True)
class WordLinks:
    """Links between the words of a line and those of its translation.

    Attributes:
        source: words of the line; for word forms their symbols.
        target: words of the translation, likewise.
        links: links (source, target) from 0 between them, in order, with their probabilities.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    links: dict[Link, float]


Linker = Callable[[Sequence[tuple[Any, str]]], Sequence[WordLinks]]
"""Links the words of lines, as a translator reads them, and of their translations."""


@dataclass(frozen=True)
class ScoredText:
    """One translation of a line.

    Attributes:
        text: detokenised text.
        score: the score that translations are ranked by, see :class:`BeamSearch` and
            :class:`MinimumBayesRisk`.
        log_probability: in nats, including ``EOS``.
        tokens: the tokens as strings, without ``EOS``.
        alignment: word links; None if they were not requested.
    """

    text: str
    score: float
    log_probability: float
    tokens: tuple[str, ...] = ()
    alignment: WordLinks | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values: dict[str, Any] = {
            "text": self.text,
            "score": round(self.score, 6),
            "log_probability": round(self.log_probability, 6),
            "tokens": self.tokens,
        }
        if self.alignment is not None:
            links = self.alignment.links
            values["words"] = self.alignment.target
            values["links"] = [*links]
            values["probabilities"] = [round(each, 4) for each in links.values()]
        return values


@dataclass(frozen=True)
class Translation:
    """The translations of one line.

    Attributes:
        line: 1-based line number.
        hypotheses: translations, best first; none for an empty line.
        unknown: whether all tokens of the line are unknown, so that the translation is a guess.
    """

    line: int
    hypotheses: tuple[ScoredText, ...]
    unknown: bool

    @property
    def text(self) -> str:
        """The best translation; empty for an empty line."""
        return self.hypotheses[0].text if self.hypotheses else ""

    @property
    def alignment(self) -> WordLinks | None:
        """Word links of the best translation; None without one, or if not requested."""
        return self.hypotheses[0].alignment if self.hypotheses else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        aligned = self.alignment
        return {
            "line": self.line,
            "source_words": [] if aligned is None else aligned.source,
            "unknown": self.unknown,
            "translations": [each.to_dict() for each in self.hypotheses],
        }
