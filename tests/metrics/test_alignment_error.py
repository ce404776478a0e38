import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.corpus.links import GoldLinks
from pyro_align.metrics import AlignmentErrorRate

SQUARE = [(source, target) for source in range(3) for target in range(3)]
link_sets = st.frozensets(st.sampled_from(SQUARE))


def rate(*pairs):
    counts = AlignmentErrorRate()
    for predicted, gold in pairs:
        counts.update(predicted, gold)
    return counts


def test_one_pair_by_hand():
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


def test_a_repeated_link_counts_once():
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
def test_without_merely_possible_links_it_is_one_minus_f1(predicted, sure):
    counts = rate([predicted, GoldLinks(sure)])
    if counts.precision + counts.recall > 0 and predicted and sure:
        f1 = 2 * counts.precision * counts.recall / (counts.precision + counts.recall)
        assert counts.error_rate == pytest.approx(1 - f1)
