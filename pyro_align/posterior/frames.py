"""Alignment posteriors as pandas tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pyro_align.errors import ConfigError, UserError
from pyro_align.posterior.sentence import ENTROPIES, KINDS, SENTENCE_END, SUMS, SentencePosterior

Sentences = Sequence[SentencePosterior]


def cells(sentences: Sentences) -> pd.DataFrame:
    """Implement ``AlignmentPosterior.to_frame``."""

    def columns(number: int, one: SentencePosterior) -> dict[str, Any]:
        rows, width = len(one.target), len(one.source)
        return {
            "sentence": np.full(rows * width, number),
            "target_position": np.repeat(np.arange(rows), width),
            "target_token": np.repeat(np.array(one.target, dtype=object), width),
            "source_position": np.tile(np.arange(width), rows),
            "source_token": np.tile(np.array(one.source, dtype=object), rows),
            **{kind: _or_missing(getattr(one, kind), (rows, width)) for kind in KINDS},
            "gold": _gold(one),
        }

    return _table(columns, sentences)


def positions(sentences: Sentences) -> pd.DataFrame:
    """Implement ``AlignmentPosterior.positions_frame``."""

    def columns(number: int, one: SentencePosterior) -> dict[str, Any]:
        rows = len(one.target)
        return {
            "sentence": np.full(rows, number),
            "target_position": np.arange(rows),
            "target_token": np.array(one.target, dtype=object),
            **{name: _or_missing(getattr(one, name), (rows,)) for name in (*SUMS, *ENTROPIES)},
        }

    return _table(columns, sentences)


def totals(sentences: Sentences) -> pd.DataFrame:
    """Implement ``AlignmentPosterior.sentences_frame``."""

    def columns(number: int, one: SentencePosterior) -> dict[str, Any]:
        return {
            "sentence": [number],
            "source": [" ".join(one.source)],
            "target": [" ".join(one.target)],
            "source_tokens": [len(one.source)],
            "target_tokens": [len(one.target)],
            **{
                name: [np.nan if (value := getattr(one, name)) is None else float(value.sum())]
                for name in (*SUMS, *ENTROPIES)
            },
        }

    return _table(columns, sentences)


def calibration(sentences: Sentences, kind: str, bins: int) -> pd.DataFrame:
    """Implement ``AlignmentPosterior.calibration``.

    Raises:
        UserError: if there are no gold links, there is no such kind, or ``bins`` is below 1.
    """
    if bins < 1:
        raise ConfigError(f"calibration needs at least one bin, got {bins}")
    confidences: list[float] = []
    correct: list[bool] = []
    for one in sentences:
        if one.gold is None:
            continue
        matrix = one.matrix(kind)
        linked = {target for _, target in one.gold.possible}
        for target, row in enumerate(matrix):
            if one.target[target] == SENTENCE_END and target == len(one.target) - 1:
                continue
            source = int(row.argmax())
            nothing = source == len(one.source) - 1 and one.source[source] == SENTENCE_END
            confidences.append(float(row[source]))
            correct.append(
                target not in linked if nothing else (source, target) in one.gold.possible
            )
    if not confidences:
        raise UserError("calibration needs gold links, but there are none: pass them with gold=")
    return reliability(confidences, correct, bins, "tokens")


def reliability(
    confidences: Sequence[float], correct: Sequence[bool], bins: int, counted: str
) -> pd.DataFrame:
    """Return accuracy by confidence, in bins of equal width from 0 to 1.

    A bin includes its upper edge, because a confidence is above 0 and can be 1.

    Args:
        confidences: probability of each prediction.
        correct: whether it is correct.
        bins: number of bins.
        counted: plural of what a prediction is about, the name of the column of numbers.

    Returns:
        One row per bin: ``lower``, ``upper``, the number of predictions, and their mean
        ``confidence`` and ``accuracy``, both missing if the bin is empty.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    number = np.clip(np.ceil(np.array(confidences) * bins).astype(int) - 1, 0, bins - 1)
    frame = pd.DataFrame({"bin": number, "confidence": confidences, "accuracy": correct})
    of_bin = frame.astype({"accuracy": float}).groupby("bin")
    table = of_bin.mean().reindex(range(bins))
    table.insert(0, "lower", edges[:-1])
    table.insert(1, "upper", edges[1:])
    table.insert(2, counted, of_bin.size().reindex(range(bins), fill_value=0))
    return table.reset_index(drop=True)


def calibration_error(table: pd.DataFrame, counted: str) -> float:
    """Return the expected calibration error of a table of :func:`reliability`.

    It is the mean distance of accuracy and confidence, each bin weighted by its predictions.
    """
    distance = (table["accuracy"] - table["confidence"]).abs()
    return float((table[counted] * distance).sum() / table[counted].sum())


def _gold(one: SentencePosterior) -> Any:
    labels = np.full((len(one.target), len(one.source)), None, dtype=object)
    if one.gold is not None:
        labels[:] = "none"
        for source, target in one.gold.possible:
            labels[target, source] = "sure" if (source, target) in one.gold.sure else "possible"
    return labels.ravel()


def _or_missing(values: Any, shape: tuple[int, ...]) -> Any:
    return np.full(shape, np.nan).ravel() if values is None else np.ravel(values)


def _table(
    columns: Callable[[int, SentencePosterior], dict[str, Any]], sentences: Sentences
) -> pd.DataFrame:
    """Concatenate the columns of all sentences."""
    found = [columns(number, one) for number, one in enumerate(sentences)]
    return joined({name: [each[name] for each in found] for name in found[0]})


def joined(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Concatenate the parts of each column; text columns get the string type of pandas."""
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    return pd.DataFrame({name: v.tolist() if v.dtype == object else v for name, v in whole.items()})
