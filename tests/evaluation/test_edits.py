from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.text import word_error_rate

from pyro_align.evaluation import Confusions, Edit, find_edits

words = st.lists(st.sampled_from("abc"), max_size=7)


@cache
def distance(reference: str, prediction: str) -> int:
    """Edit distance by its recursive definition."""
    if not reference or not prediction:
        return len(reference) + len(prediction)
    return min(
        distance(reference[1:], prediction[1:]) + (reference[0] != prediction[0]),
        distance(reference[1:], prediction) + 1,
        distance(reference, prediction[1:]) + 1,
    )


def apply(edits: list[Edit], reference: str, prediction: str) -> str:
    """Change the reference by the edits."""
    changed: list[str] = []
    place = 0
    for edit in edits:
        # Keep symbols between edits; an insertion has only a position in the prediction.
        while edit.reference is None and len(changed) < (edit.prediction or 0):
            changed.append(reference[place])
            place += 1
        if edit.reference is not None:
            changed += reference[place : edit.reference]
            place = edit.reference + 1
        if edit.prediction is not None:
            assert len(changed) == edit.prediction
            changed.append(prediction[edit.prediction])
    return "".join(changed) + reference[place:]


def test_edits_of_all_short_words_are_minimal():
    short = ["".join(letters) for size in range(5) for letters in product("ab", repeat=size)]
    for reference, prediction in product(short, repeat=2):
        edits = find_edits(reference, prediction)
        assert len(edits) == distance(reference, prediction)
        assert apply(edits, reference, prediction) == prediction


@given(reference=words.filter(bool), prediction=words)
@settings(deadline=None)
def test_against_torchmetrics(reference, prediction):
    rate = word_error_rate(" ".join(prediction), " ".join(reference))
    assert len(find_edits(reference, prediction)) == round(float(rate) * len(reference))


@pytest.mark.parametrize(
    ("reference", "prediction", "edits"),
    [
        ("abc", "abc", []),
        ("abc", "adc", [(1, 1)]),
        ("abc", "ac", [(1, None)]),
        ("ac", "abc", [(None, 1)]),
        ("", "ab", [(None, 0), (None, 1)]),
        ("ab", "", [(0, None), (1, None)]),
        ("kitten", "sitting", [(0, 0), (4, 4), (None, 6)]),
        ("ab", "ba", [(0, 0), (1, 1)]),
    ],
)
def test_edits(reference, prediction, edits):
    assert find_edits(reference, prediction) == edits
    assert find_edits([*reference], tuple(prediction)) == edits


def test_symbols_are_compared_whole():
    assert find_edits(["t͡ʃ", "aː"], ["t", "aː"]) == [(0, 0)]


def rows(table: pd.DataFrame) -> list[tuple]:
    return [tuple(None if pd.isna(cell) else cell for cell in row) for row in table.to_numpy()]


def test_confusions_by_frequency():
    confusions = Confusions()
    confusions.update("abc", "xbc")
    confusions.update("ab", "xbz")
    confusions.update("ab", "a")
    confusions.update("same", "same")
    table = confusions.table()
    assert [*table] == ["reference", "prediction", "count", "percent", "source", "probability"]
    assert rows(table) == [
        ("a", "x", 2, 50.0, None, None),
        (None, "z", 1, 25.0, None, None),
        ("b", None, 1, 25.0, None, None),
    ]
    assert rows(confusions.table(1)) == rows(table)[:1]
    assert Confusions().table().empty


def test_sources_have_the_highest_mean_posterior():
    confusions = Confusions()
    # Twice s instead of z, read from s and c; the two s of the second word count together.
    confusions.update("az", "as", ["a", "s", "c"], [[1, 0, 0], [0.0, 0.3, 0.7]])
    confusions.update(
        "z", "s", ["s", "e", "s", "</s>"], np.array([[0.4, 0.2, 0.4, 0.0], [0, 0, 0, 1]])
    )
    assert rows(confusions.table()) == [("z", "s", 2, 100.0, "s", pytest.approx(0.55))]
    # A word without a posterior counts for the edit, but not for the mean.
    confusions.update("z", "s")
    assert rows(confusions.table()) == [("z", "s", 3, 100.0, "s", pytest.approx(0.55))]


def test_insertions_are_read_from_the_posterior_of_the_prediction():
    of_reference, of_prediction = [[1.0, 0.0]], [[1.0, 0.0], [0.25, 0.75]]
    confusions = Confusions()
    confusions.update("a", "ab", "xy", of_reference, of_prediction)
    assert rows(confusions.table()) == [(None, "b", 1, 100.0, "y", 0.75)]
    confusions = Confusions()
    confusions.update("a", "ab", "xy", of_reference)
    assert rows(confusions.table()) == [(None, "b", 1, 100.0, None, None)]
    confusions = Confusions()
    confusions.update("ab", "a", "xy", [[1.0, 0.0], [0.25, 0.75]])
    assert rows(confusions.table()) == [("b", None, 1, 100.0, "y", 0.75)]


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (2,)])
def test_posteriors_of_another_shape_are_rejected(shape):
    with pytest.raises(ValueError, match="for 2 target symbols and 3 source positions"):
        Confusions().update("ab", "ab", "xyz", np.ones(shape))
    with pytest.raises(ValueError, match="for 2 target symbols and 3 source positions"):
        Confusions().update("a", "ab", "xyz", None, np.ones(shape))
