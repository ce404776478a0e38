"""Edit distance of symbol sequences, and a table of the most frequent edits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from pandas import DataFrame


class Edit(NamedTuple):
    """An edit that changes a reference into a prediction.

    Attributes:
        reference: 0-based position of the replaced or deleted symbol in the reference; None for an
            insertion.
        prediction: 0-based position of the replacing or inserted symbol in the prediction; None for
            a deletion.
    """

    reference: int | None
    prediction: int | None


def find_edits(reference: Sequence[str], prediction: Sequence[str]) -> list[Edit]:
    """Find a shortest list of insertions, deletions and substitutions, in order of position.

    The length of the list is the edit distance (Levenshtein 1966). If several lists are shortest,
    substitutions are preferred to deletions, and these to insertions, from the end of the
    sequences.

    Args:
        reference: the correct symbols.
        prediction: the predicted symbols.
    """
    if list(reference) == list(prediction):
        return []
    # distances[i][j]: edit distance of the first i reference and the first j predicted symbols.
    distances = [list(range(len(prediction) + 1))]
    for i, expected in enumerate(reference, start=1):
        above, row = distances[-1], [i]
        for j, found in enumerate(prediction, start=1):
            row.append(min(above[j - 1] + (expected != found), above[j] + 1, row[-1] + 1))
        distances.append(row)
    edits = []
    i, j = len(reference), len(prediction)
    while i or j:
        distance = distances[i][j]
        differs = bool(i and j) and reference[i - 1] != prediction[j - 1]
        if i and j and distance == distances[i - 1][j - 1] + differs:
            i, j = i - 1, j - 1
            if differs:
                edits.append(Edit(i, j))
        elif i and distance == distances[i - 1][j] + 1:
            i -= 1
            edits.append(Edit(i, None))
        else:
            j -= 1
            edits.append(Edit(None, j))
    return edits[::-1]


@dataclass
class Confusions:
    """How often each symbol was predicted for each other one, and which source symbol it is from.

    Attributes:
        counts: number of edits by reference and predicted symbol; None for a missing symbol.
        sources: sum of posterior probabilities of source symbols, by edit.
    """

    counts: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    sources: dict[tuple[str | None, str | None], dict[str, float]] = field(default_factory=dict)

    def update(
        self,
        reference: Sequence[str],
        prediction: Sequence[str],
        source: Sequence[str] = (),
        posterior: ArrayLike | None = None,
        prediction_posterior: ArrayLike | None = None,
    ) -> None:
        """Add the edits of a word.

        The source of a substitution or deletion is that of the reference symbol, the source of an
        insertion that of the predicted symbol.

        Args:
            reference: the correct symbols.
            prediction: the predicted symbols.
            source: label of each source position.
            posterior: link probabilities of the reference, ``(symbol, source position)``. There may
                be further rows, such as that of ``EOS``. None if not known.
            prediction_posterior: the same of the prediction.

        Raises:
            ValueError: if a posterior has another number of source positions, or too few rows.
        """
        of_reference = _checked(posterior, len(reference), len(source))
        of_prediction = _checked(prediction_posterior, len(prediction), len(source))
        for edit in find_edits(reference, prediction):
            expected = None if edit.reference is None else reference[edit.reference]
            found = None if edit.prediction is None else prediction[edit.prediction]
            self.counts[expected, found] += 1
            rows = of_prediction if edit.reference is None else of_reference
            if rows is not None:
                sums = self.sources.setdefault((expected, found), {})
                position = edit.prediction if edit.reference is None else edit.reference
                for label, probability in zip(source, rows[position], strict=True):
                    sums[label] = sums.get(label, 0.0) + float(probability)

    def table(self, rows: int = 20) -> DataFrame:
        """Return the most frequent edits, one per row.

        Columns: ``reference`` and ``prediction``, the symbols (missing for insertions and
        deletions); ``count``; ``percent`` of all edits; ``source``, the source symbol with the
        highest mean posterior probability over these edits; and ``probability``, this mean. The
        last two are missing without posteriors; edits of words without one do not count for them.

        Args:
            rows: maximum number of rows.
        """
        import pandas as pd

        total = max(1, self.counts.total())
        found = []
        for edit, count in self.counts.most_common(rows):
            sums = self.sources.get(edit, {})
            source = max(sums, key=sums.__getitem__, default=None)
            probability = np.nan if source is None else sums[source] / sum(sums.values())
            found.append((*edit, count, 100 * count / total, source, probability))
        columns = ["reference", "prediction", "count", "percent", "source", "probability"]
        return pd.DataFrame(found, columns=columns)


def _checked(posterior: ArrayLike | None, symbols: int, positions: int) -> np.ndarray | None:
    if posterior is None:
        return None
    rows = np.asarray(posterior, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < symbols or rows.shape[1] != positions:
        raise ValueError(
            f"a posterior of shape {rows.shape} for {symbols} target symbols and {positions} "
            "source positions"
        )
    return rows
