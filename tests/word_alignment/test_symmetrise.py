"""Symmetrisation by hand, and against Moses' symal."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.data import format_links, parse_links
from pyro_align.posterior import WordAlignment
from pyro_align.word_alignment import (
    SYMMETRISATIONS,
    Argmax,
    ByGrownMean,
    ByLinks,
    ByProduct,
    Threshold,
    agreement,
    grow_diag,
    grow_diag_final,
    grow_diag_final_and,
    grown_mean,
    intersect,
    links_of,
    union,
)


def links(text):
    return parse_links(text).sure


SYMAL = [
    # forward, reverse, then what symal gives with -d=yes; -d=yes -f=yes; -d=yes -f=yes -b=yes
    ("0-0 3-1 0-2 2-3", "0-0 1-3 2-1 3-3", "0-0", "0-0 3-1 0-2 1-3 2-3", "0-0 3-1 2-3"),
    ("1-1 0-2 3-3", "0-1 1-0 2-1 3-3", "3-3", "1-0 1-1 2-1 0-2 3-3", "1-1 0-2 3-3"),
    (
        "1-0 1-2 2-3 4-5",
        "0-0 1-3 2-3 3-3 4-5",
        "1-2 1-3 2-3 3-3 4-5",
        "0-0 1-0 1-2 1-3 2-3 3-3 4-5",
        "0-0 1-2 1-3 2-3 3-3 4-5",
    ),
    (
        "0-0 0-1 3-2 3-3 4-4 5-5",
        "0-2 1-0 2-4 3-2 4-3 5-4",
        "3-2 3-3 4-3 2-4 5-4 5-5",
        "0-0 1-0 0-1 3-2 3-3 4-3 2-4 5-4 5-5",
        "0-0 3-2 3-3 4-3 2-4 5-4 5-5",
    ),
    (
        "2-0 4-2 4-3",
        "0-1 1-2 2-1 3-0 4-2 5-2",
        "4-2 5-2 4-3",
        "2-0 3-0 0-1 1-2 4-2 5-2 4-3",
        "2-0 0-1 4-2 5-2 4-3",
    ),
    (
        "0-0 0-1 0-2 2-3 5-4",
        "0-1 1-0 2-0 3-3 4-5 5-5",
        "0-0 1-0 2-0 0-1 0-2",
        "0-0 1-0 2-0 0-1 0-2 2-3 3-3 5-4 4-5",
        "0-0 1-0 2-0 0-1 0-2 3-3 5-4 4-5",
    ),
    (
        "0-0 0-1 4-3",
        "0-1 1-0 2-2 3-1 5-4 6-4",
        "0-0 1-0 0-1",
        "0-0 1-0 0-1 3-1 2-2 4-3 5-4 6-4",
        "0-0 1-0 0-1 2-2 4-3 5-4",
    ),
    (
        "1-0 1-1 1-2 3-3 2-5 3-6",
        "0-0 1-4 2-2 3-6",
        "1-4 2-5 3-6",
        "0-0 1-0 1-1 1-2 3-3 1-4 2-5 3-6",
        "0-0 1-4 2-5 3-6",
    ),
    # A link that is added behind the one that brought it waits for the next sweep.
    (
        "0-0 3-2 2-3 4-4 5-5",
        "0-1 1-2 2-3 3-1 4-2 5-3",
        *["0-0 0-1 1-2 3-2 4-2 2-3 5-3 4-4 5-5"] * 3,
    ),
    ("0-0 0-1 2-2 4-3", "0-1 1-0 2-1 3-2 4-3", *["0-0 1-0 0-1 2-1 3-2 4-3"] * 3),
]
"""Output of ``printgrow`` in Moses' symal/symal.cpp (moses-smt/mosesdecoder 14d2a67), compiled."""


@pytest.mark.parametrize(("forward", "reverse", "diag", "final", "final_and"), SYMAL)
def test_results_equal_those_of_symal(forward, reverse, diag, final, final_and):
    both = links(forward), links(reverse)
    assert grow_diag(*both) == links(diag)
    assert grow_diag_final(*both) == links(final)
    assert grow_diag_final_and(*both) == links(final_and)


def test_growing_by_hand():
    """1-1 is shared; 2-2 is adjacent to it; 3-2 is adjacent to 2-2; 5-5 is not adjacent."""
    forward, reverse = links("1-1 2-2 5-5"), links("1-1 3-2 5-4")
    assert intersect(forward, reverse) == links("1-1")
    assert union(forward, reverse) == links("1-1 2-2 3-2 5-5 5-4")
    assert grow_diag(forward, reverse) == links("1-1 2-2 3-2")
    # The forward link 5-5 first; then 5-4 has a word without link (target 4), but not two.
    assert grow_diag_final(forward, reverse) == links("1-1 2-2 3-2 5-5 5-4")
    assert grow_diag_final_and(forward, reverse) == links("1-1 2-2 3-2 5-5")


def test_a_neighbour_needs_a_word_without_link():
    # 0-1 lies between 0-0 and 1-1, but both its words have links.
    assert grow_diag(links("0-0 1-1 0-1"), links("0-0 1-1")) == links("0-0 1-1")


def test_an_empty_intersection_does_not_grow():
    forward, reverse = links("0-0 1-1"), links("0-1 1-0")
    assert grow_diag(forward, reverse) == frozenset()
    # The forward links first: they cover all words.
    assert grow_diag_final_and(forward, reverse) == forward


link_sets = st.frozensets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=10)


@given(link_sets, link_sets)
def test_heuristics_are_nested(forward, reverse):
    results = [
        heuristic(forward, reverse)
        for heuristic in (intersect, grow_diag, grow_diag_final_and, grow_diag_final, union)
    ]
    assert results[0] == forward & reverse
    assert results[-1] == forward | reverse
    for smaller, larger in itertools.pairwise(results[:3]):
        assert smaller <= larger
    assert results[1] <= results[3] <= results[4]
    sources = {source for source, _ in results[3]}
    targets = {target for _, target in results[3]}
    # What final leaves out has links on both sides.
    assert all(s in sources and t in targets for s, t in results[4] - results[3])


def table(weights):
    weights = torch.tensor(weights)
    return WordAlignment(weights, 1 - weights.sum(1))


# Two source words, three target words; rows are those who choose.
FORWARD = table([[0.8, 0.1], [0.3, 0.6], [0.5, 0.2]])
REVERSE = table([[0.7, 0.0, 0.1], [0.1, 0.2, 0.6]])


def test_two_tables_by_hand():
    # Forward: 0-0, 1-1, 0-2; reverse: 0-0, 1-2.
    assert format_links(SYMMETRISATIONS["union"](FORWARD, REVERSE, Argmax())) == "0-0 0-2 1-1 1-2"
    found = SYMMETRISATIONS["intersect"](FORWARD, REVERSE, Argmax())
    assert found == pytest.approx({(0, 0): 0.75})
    found = ByLinks(union)(FORWARD, REVERSE, Threshold(0.6))
    assert found == pytest.approx({(0, 0): 0.75, (1, 1): 0.4, (1, 2): 0.4})
    assert list(found) == sorted(found)


def test_agreement_by_hand():
    both = agreement(FORWARD, REVERSE)
    expected = torch.tensor([[0.56, 0.01], [0.0, 0.12], [0.05, 0.12]])
    torch.testing.assert_close(both.weights, expected)
    # Neither direction links: 0.1 · 0.3 · 0.9, 0.1 · 1 · 0.8, 0.3 · 0.9 · 0.4.
    torch.testing.assert_close(both.null, torch.tensor([0.027, 0.08, 0.108]))
    found = ByProduct()(FORWARD, REVERSE, Argmax())
    assert found == pytest.approx({(0, 0): 0.56, (1, 1): 0.12, (1, 2): 0.12})
    assert ByProduct()(FORWARD, REVERSE, Threshold(0.5)) == pytest.approx({(0, 0): 0.56})


def test_grown_mean_by_hand():
    both = grown_mean(FORWARD, REVERSE)
    # Source word 1 of target word 1: 0.6 forward, and 0.1 + 0.2 + 0.6 to it or a neighbour reverse.
    expected = torch.tensor([[0.75, 0.1], [0.24, 0.54], [0.3, 0.42]])
    torch.testing.assert_close(both.weights, expected)
    # Forward does not link with 0.1, reverse with 0.3 · 0.9, and so on.
    torch.testing.assert_close(both.null, torch.tensor([0.185, 0.45, 0.33]))
    found = ByGrownMean()(FORWARD, REVERSE, Threshold(0.4))
    assert found == pytest.approx({(0, 0): 0.75, (1, 1): 0.54, (1, 2): 0.42})
    assert list(found) == sorted(found)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 1), (3, 6)])
def test_grown_mean_one_by_one(shape):
    torch.manual_seed(0)
    length, width = shape
    forward = torch.rand(length, width).softmax(1) * 0.95
    reverse = torch.rand(width, length).softmax(1) * 0.95
    found = grown_mean(
        WordAlignment(forward, 1 - forward.sum(1)), WordAlignment(reverse, 1 - reverse.sum(1))
    )
    for t, s in itertools.product(range(length), range(width)):
        f, r = forward[t, s].item(), reverse[s, t].item()
        of_source = sum(reverse[s, u].item() for u in (t - 1, t, t + 1) if 0 <= u < length)
        of_target = sum(forward[t, u].item() for u in (s - 1, s, s + 1) if 0 <= u < width)
        expected = max((f + r) / 2, f * of_source, r * of_target)
        assert found.weights[t, s].item() == pytest.approx(expected, abs=1e-6)


def test_grown_mean_keeps_two_words_of_a_contraction():
    """Of "of the" and "del", "del" links to "of", and "of" and "the" both link to "del"."""
    forward = table([[1.0, 0.0]])
    reverse = table([[1.0], [1.0]])
    assert ByGrownMean()(forward, reverse, Threshold(0.5)) == {(0, 0): 1.0, (1, 0): 1.0}
    apart = table([[1.0, 0.0, 0.0]]), table([[1.0], [0.0], [0.9]])
    assert ByGrownMean()(*apart, Threshold(0.5)) == {(0, 0): 1.0}


def test_the_default_decoder_is_that_of_the_symmetrisation():
    tables = FORWARD, REVERSE
    assert links_of(tables) == links_of(tables, Threshold(0.5), ByGrownMean())
    assert links_of(tables) == pytest.approx({(0, 0): 0.75, (1, 1): 0.54})
    assert links_of(tables, Argmax()) == pytest.approx({(0, 0): 0.75, (1, 1): 0.54, (1, 2): 0.42})
    either = SYMMETRISATIONS["union"]
    assert links_of(tables, symmetrise=either) == links_of(tables, Argmax(), either)
    assert links_of([FORWARD]) == pytest.approx({(0, 0): 0.8, (1, 1): 0.6, (0, 2): 0.5})


@pytest.mark.parametrize("name", SYMMETRISATIONS)
def test_directions_are_distinguished(name):
    """Tables that are not square, with one link far from the diagonal."""
    forward = table([[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    reverse = table([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    found = SYMMETRISATIONS[name](forward, reverse, Argmax())
    assert found == {(0, 1): 1.0, (3, 0): 1.0}
