"""Error rates compared with the definition of the scorer of SIGMORPHON 2020 task 1.

It computes edit distances by the usual recurrence, but from another border: a word is at distance 1
from the empty word, however long it is (``evallib.py``, github.com/sigmorphon/2020). Insertions or
deletions at the beginning of a word then count as one edit.
"""

from __future__ import annotations

import itertools
from functools import cache

import pytest

from pyro_align.evaluation import FormScores, find_edits

AGREED = [
    ("k a n a", "k a n a"),
    ("k a n a", "k a m a"),  # a substitution
    ("k a n a", "ɡ a n a"),  # at the beginning
    ("k a n a", "ɡ o n a"),
    ("k a n a", "a n a"),  # a deletion at the beginning
    ("k a n a", "s k a n a"),  # an insertion at the beginning
    ("k a n a", "k a n"),
    ("k a n a", "k a"),  # two deletions at the end
    ("k a n a", "k a n a t s"),
    ("k a n a", "k n n a"),
    ("cʰ ɪ nː", "c ɪ nː ʏ r"),
    ("ɑ̃ f ɑ̃", "ɑ̃ f ɑ n"),
]
"""Pairs of a word and a prediction for which both definitions give the same distance."""


@cache
def distance_of_the_scorer(gold: tuple[str, ...], found: tuple[str, ...]) -> int:
    if not gold or not found:
        return int(bool(gold) != bool(found))
    if gold[-1] == found[-1]:
        return distance_of_the_scorer(gold[:-1], found[:-1])
    smaller = [(gold[:-1], found), (gold, found[:-1]), (gold[:-1], found[:-1])]
    return 1 + min(distance_of_the_scorer(*one) for one in smaller)


@pytest.mark.parametrize("words", [AGREED, AGREED[:6], AGREED[5:]])
def test_rates_equal_those_of_the_scorer(words):
    scores = FormScores()
    edits = symbols = wrong = 0
    for gold, found in words:
        scores.update(gold.split(), found.split())
        edits += distance_of_the_scorer(tuple(gold.split()), tuple(found.split()))
        symbols += len(gold.split())
        wrong += gold != found
    rates = scores.rates()
    assert rates.word_error_rate == pytest.approx(100 * wrong / len(words))
    assert rates.symbol_error_rate == pytest.approx(100 * edits / symbols)


def test_the_scorer_counts_several_edits_at_the_beginning_as_one():
    gold, found = tuple("kana"), tuple("na")
    assert distance_of_the_scorer(gold, found) == 1
    assert len(find_edits(gold, found)) == 2


def test_distances_of_all_short_words():
    """The scorer never counts more, and the same if one edit is enough."""
    words = [word for n in range(1, 5) for word in itertools.product("ab", repeat=n)]
    larger = 0
    for gold, found in itertools.product(words, repeat=2):
        ours, other = len(find_edits(gold, found)), distance_of_the_scorer(gold, found)
        assert other <= ours
        if ours <= 1:
            assert other == ours
        larger += ours > other
    assert larger
