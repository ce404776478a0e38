"""Word and symbol error rates of predicted forms, by language and macro-averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyro_align.evaluation.edits import find_edits

if TYPE_CHECKING:
    from pandas import DataFrame

MACRO_AVERAGE = "macro average"
"""Row of the means over languages in a table of scores."""

_CHUNK = 1_000_000
"""Words that the bootstrap draws at once, to bound its memory."""


@dataclass(frozen=True)
class FormRates:
    """Error rates of predicted forms, means over languages if there are several.

    These are the measures of SIGMORPHON 2020 task 1, with one difference: the scorer of that task
    counts insertions or deletions at the beginning of a word as a single edit, so the symbol error
    rates it reports can be slightly lower.

    Attributes:
        word_error_rate: percentage of words with any wrong symbol.
        symbol_error_rate: sum of the edit distances, as a percentage of the number of reference
            symbols. It can exceed 100.
        mean_edit_distance: edits per word.
    """

    word_error_rate: float
    symbol_error_rate: float
    mean_edit_distance: float

    @property
    def word_accuracy(self) -> float:
        """Percentage of words that are entirely right."""
        return 100 - self.word_error_rate


@dataclass
class FormScores:
    """Edit distances of predicted forms, from which error rates are computed.

    Attributes:
        words: edit distance and length of the reference of each word, by language.
    """

    words: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def update(
        self, reference: Sequence[str], prediction: Sequence[str], language: str = ""
    ) -> None:
        """Add one word.

        Args:
            reference: the correct symbols, at least one.
            prediction: the predicted symbols.
            language: name of the language, if there are several.

        Raises:
            ValueError: if the reference is empty.
        """
        if not reference:
            raise ValueError("a reference needs at least one symbol")
        distance = len(find_edits(reference, prediction))
        self.words.setdefault(language, []).append((distance, len(reference)))

    def rates(self, language: str | None = None) -> FormRates:
        """Compute the error rates of a language, or their means over all languages.

        Args:
            language: name of a language; None for the means.

        Raises:
            ValueError: if there are no words.
        """
        selected = self._select(language)
        return FormRates(*np.mean([_rates(words) for words in selected.values()], axis=0).tolist())

    def interval(
        self,
        language: str | None = None,
        level: float = 0.95,
        *,
        samples: int = 1000,
        seed: int = 0,
    ) -> tuple[FormRates, FormRates]:
        """Compute percentile bootstrap intervals of the error rates.

        Words are drawn with replacement, separately in each language. The intervals reflect the
        choice of test words, not that of the training seed.

        Args:
            language: name of a language; None for the means over all languages.
            level: confidence level, above 0 and below 1.
            samples: number of resampled test sets.
            seed: seed of the resampling; the same seed gives the same intervals.

        Returns:
            The lower and the upper limits.

        Raises:
            ValueError: if there are no words, or ``level`` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"an interval needs a level between 0 and 1, got {level}")

        drawn = np.mean(
            [
                _resampled_rates(words, samples, np.random.default_rng((seed, number)))
                for number, words in self._select(language).items()
            ],
            axis=0,
        )
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=-1)
        return FormRates(*low.tolist()), FormRates(*high.tolist())

    def table(self, level: float = 0.95, *, samples: int = 1000, seed: int = 0) -> DataFrame:
        """Return a table with one row per language and, for several, one of their means.

        Columns: ``words``, the measures of :class:`FormRates`, and the limits of the intervals of
        both error rates.

        Args:
            level: confidence level of the intervals.
            samples: number of resampled test sets.
            seed: seed of the resampling.

        Raises:
            ValueError: as for :meth:`interval`.
        """
        import pandas as pd

        names: dict[str, str | None] = {language or "all": language for language in self.words}
        if len(names) != 1:
            names[MACRO_AVERAGE] = None
        rows: dict[str, dict[str, float]] = {}
        for name, language in names.items():
            rates = self.rates(language)
            low, high = self.interval(language, level, samples=samples, seed=seed)
            counted = self.words.values() if language is None else [self.words[language]]
            rows[name] = {
                "words": sum(map(len, counted)),
                "word_error_rate": rates.word_error_rate,
                "word_error_rate_low": low.word_error_rate,
                "word_error_rate_high": high.word_error_rate,
                "symbol_error_rate": rates.symbol_error_rate,
                "symbol_error_rate_low": low.symbol_error_rate,
                "symbol_error_rate_high": high.symbol_error_rate,
                "mean_edit_distance": rates.mean_edit_distance,
                "word_accuracy": rates.word_accuracy,
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("language")

    def _select(self, language: str | None) -> dict[int, NDArray[np.int64]]:
        """Return the words of a language, or of all, by number of the language."""
        selected = {
            number: np.asarray(words)
            for number, (name, words) in enumerate(self.words.items())
            if language is None or name == language
        }
        if not selected:
            raise ValueError("there are no words" + f" of {language!r}" * (language is not None))
        return selected


def _rates(words: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the fields of :class:`FormRates` from an array ``(…, word, 2)``."""
    distances, lengths = words[..., 0], words[..., 1]
    return np.stack(
        [
            100 * (distances > 0).mean(-1),
            100 * distances.sum(-1) / lengths.sum(-1),
            distances.mean(-1),
        ]
    )


def _resampled_rates(
    words: NDArray[np.int64], samples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Compute the rates of resampled words, an array ``(rate, sample)``."""
    chunk = max(1, _CHUNK // len(words))
    sizes = [min(chunk, samples - start) for start in range(0, samples, chunk)]
    return np.concatenate(
        [_rates(words[generator.integers(len(words), size=(size, len(words)))]) for size in sizes],
        axis=-1,
    )
