import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.data.links import GoldLinks, parse_links
from pyro_align.evaluation import AlignmentErrorRate

SQUARE = [(source, target) for source in range(3) for target in range(3)]
link_sets = st.frozensets(st.sampled_from(SQUARE))


def rate(*pairs):
    counts = AlignmentErrorRate()
    for predicted, gold in pairs:
        counts.update(predicted, gold)
    return counts


def test_one_hand_computed_pair():
    gold = GoldLinks(sure=frozenset({(0, 0), (1, 2)}), possible=frozenset({(2, 1)}))
    # A: one sure, one possible, one wrong.
    counts = rate([{(0, 0), (2, 1), (2, 2)}, gold])
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(1 / 2)
    assert counts.error_rate == pytest.approx(1 - (1 + 2) / (3 + 2))


def test_counts_are_summed_before_dividing():
    gold = GoldLinks(frozenset({(0, 0)}))
    right, wrong = {(0, 0)}, {(0, 1), (1, 0), (1, 1)}
    counts = rate([right, gold], [wrong, gold])
    # The mean of the pairs' own rates, (0 + 1) / 2, would be another number.
    assert counts.error_rate == pytest.approx(1 - (1 + 1) / (4 + 2))


def test_duplicate_links_are_counted_once():
    gold = GoldLinks(frozenset({(0, 0), (1, 1)}))
    assert rate([[(0, 0), (0, 0)], gold]) == rate([[(0, 0)], gold])


@pytest.mark.parametrize(
    ("predicted", "sure", "possible", "precision", "recall", "error"),
    [
        (set(), set(), set(), 1.0, 1.0, 0.0),
        (set(), {(0, 0)}, set(), 1.0, 0.0, 1.0),
        ({(0, 0)}, set(), set(), 0.0, 1.0, 1.0),
        ({(0, 0)}, set(), {(0, 0)}, 1.0, 1.0, 0.0),
    ],
)
def test_empty_sets(predicted, sure, possible, precision, recall, error):
    counts = rate([predicted, GoldLinks(frozenset(sure), frozenset(possible))])
    assert (counts.precision, counts.recall, counts.error_rate) == (precision, recall, error)


@given(st.lists(st.tuples(link_sets, link_sets, link_sets), max_size=4))
def test_against_counting_cell_by_cell(sentences):
    counts = rate(*((a, GoldLinks(sure, possible)) for a, sure, possible in sentences))
    predicted = sure_total = hits_sure = hits_possible = 0
    for a, sure, possible in sentences:
        for cell in SQUARE:
            predicted += cell in a
            sure_total += cell in sure
            hits_sure += cell in a and cell in sure
            hits_possible += cell in a and (cell in sure or cell in possible)
    if predicted:
        assert counts.precision == pytest.approx(hits_possible / predicted)
    if sure_total:
        assert counts.recall == pytest.approx(hits_sure / sure_total)
    if predicted + sure_total:
        expected = 1 - (hits_sure + hits_possible) / (predicted + sure_total)
        assert counts.error_rate == pytest.approx(expected)


@given(link_sets, link_sets)
def test_error_rate_is_one_minus_f1_if_all_links_are_sure(predicted, sure):
    counts = rate([predicted, GoldLinks(sure)])
    if counts.precision + counts.recall > 0 and predicted and sure:
        f1 = 2 * counts.precision * counts.recall / (counts.precision + counts.recall)
        assert counts.error_rate == pytest.approx(1 - f1)


def test_rates_match_public_scorers():
    """Precision, recall and AER of scripts/aer.py in github.com/lilt/alignment-scripts 1f3efe5.

    NLTK 3.10.4, ``alignment_error_rate``, gives the same error rate.
    """
    gold = map(parse_links, ("1-1 2-2 3p3 4-3", "", "2-1 1p2 3p2"))
    predicted = (parse_links(line).sure for line in ("1-1 2-3 3-3 4-3", "1-1", "2-1 3-2"))
    counts = rate(*zip(predicted, gold, strict=True))
    assert counts.precision == pytest.approx(0.7142857142857143)
    assert counts.recall == pytest.approx(0.75)
    assert counts.error_rate == pytest.approx(0.2727272727272727)


def test_the_example_of_nltk():
    """From the documentation of ``nltk.translate.metrics.alignment_error_rate``."""
    gold, predicted = parse_links("0-0 1-1 2-2"), parse_links("0-0 1-2 2-1").sure
    assert rate([predicted, gold]).error_rate == pytest.approx(0.6666666666666667)


RIGHT = ({(0, 0), (1, 1)}, GoldLinks(frozenset({(0, 0), (1, 1)})))
WRONG = ({(0, 1)}, GoldLinks(frozenset({(0, 0)})))
MIXED = ({(0, 0), (2, 2)}, GoldLinks(frozenset({(0, 0)}), frozenset({(1, 1)})))


def test_interval_matches_all_resampled_corpora():
    """Three pairs give 27 equally probable resampled corpora."""
    pairs = (RIGHT, WRONG, MIXED)
    rates = sorted(
        rate(*chosen).error_rate for chosen in itertools.product(pairs, repeat=len(pairs))
    )
    counts = rate(*pairs)
    for level in (0.5, 0.8, 0.9):
        low, high = counts.interval(level, samples=20_000)
        # 27 values of equal weight, so that these quantiles are some of them.
        assert low == pytest.approx(rates[int(27 * (1 - level) / 2)])
        assert high == pytest.approx(rates[int(27 * (1 + level) / 2)])


def test_interval_narrows_and_contains_the_rate():
    few, many = rate(*[RIGHT, WRONG, MIXED] * 5), rate(*[RIGHT, WRONG, MIXED] * 200)
    widths = []
    for counts in (few, many):
        low, high = counts.interval()
        assert 0 <= low < counts.error_rate < high <= 1
        widths.append(high - low)
    assert widths[1] < widths[0] / 4
    wide, narrow = few.interval(0.99), few.interval(0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert many.interval(seed=1) == many.interval(seed=1) != many.interval(seed=2)


def test_interval_has_its_nominal_coverage():
    """About 90 % of many corpora of 60 pairs have a 90 % interval that contains the true rate."""
    random = np.random.default_rng(0)
    pairs = (RIGHT, WRONG, MIXED)
    truth = rate(*pairs).error_rate
    covered = 0
    for _ in range(200):
        counts = rate(*(pairs[i] for i in random.integers(3, size=60)))
        low, high = counts.interval(0.9, samples=200)
        covered += low <= truth <= high
    assert 160 <= covered <= 196


def test_the_interval_of_one_pair_is_its_rate():
    only = rate(MIXED)
    assert only.interval() == (only.error_rate, only.error_rate)


def test_the_interval_does_not_depend_on_the_batches(monkeypatch):
    counts = rate(*[RIGHT, WRONG, MIXED] * 5)
    whole = counts.interval(samples=200)
    monkeypatch.setattr("pyro_align.evaluation.alignment_error._BATCH", 45)
    assert counts.interval(samples=200) == whole


def test_interval_rejects_invalid_input():
    with pytest.raises(ValueError, match="0 pairs"):
        rate().interval()
    with pytest.raises(ValueError, match="level"):
        rate(RIGHT).interval(1.0)
    nothing = rate([set(), GoldLinks(frozenset())])
    assert nothing.interval() == (0.0, 0.0)
