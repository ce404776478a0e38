"""Decoding; minimum risk against all sets of links under all alignments."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_align.data import GoldLinks
from pyro_align.errors import ConfigError
from pyro_align.evaluation import AlignmentErrorRate
from pyro_align.posterior import WordAlignment
from pyro_align.word_alignment import DECODERS, Argmax, MinimumRisk, Threshold


def words(weights):
    weights = torch.tensor(weights, dtype=torch.float64)
    return WordAlignment(weights, 1 - weights.sum(1))


def truths(table):
    """Yield the links and probability of each possible alignment."""
    targets, sources = table.weights.shape
    for choice in itertools.product(range(sources + 1), repeat=targets):
        probability, links = 1.0, set()
        for target, source in enumerate(choice):
            if source == sources:
                probability *= table.null[target].item()
            else:
                probability *= table.weights[target, source].item()
                links.add((source, target))
        yield frozenset(links), probability


def gain(links, table):
    """Compute the expectation of 1 − AER with the metric itself."""
    total = 0.0
    for truth, probability in truths(table):
        rate = AlignmentErrorRate()
        rate.update(links, GoldLinks(truth))
        total += probability * (1 - rate.error_rate)
    return total


def subsets(targets, sources):
    cells = list(itertools.product(range(sources), range(targets)))
    for size in range(len(cells) + 1):
        yield from map(frozenset, itertools.combinations(cells, size))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([(1, 1), (1, 3), (2, 2), (3, 1), (2, 3), (3, 2)]),
    st.sampled_from([0.1, 0.5, 2.0]),
)
def test_minimum_risk_against_all_sets_of_links(seed, shape, concentration):
    random = np.random.default_rng(seed)
    rows = random.dirichlet(np.full(shape[1] + 1, concentration), size=shape[0])
    table = words(rows[:, 1:].tolist())
    found = MinimumRisk()(table)
    best = max(gain(links, table) for links in subsets(*shape))
    assert gain(found, table) == pytest.approx(best, abs=1e-12)


def test_minimum_risk_by_hand():
    # One target word, one source word: a link gains 2p/2, none gains 1 − p.
    assert MinimumRisk()(words([[0.51]])) == {(0, 0)}
    assert MinimumRisk()(words([[0.49]])) == frozenset()
    # Two equal candidates: both gain 2/3 (one right of two, one true), one alone 1/2.
    assert MinimumRisk()(words([[0.5, 0.5]])) == {(0, 0), (1, 0)}
    # An uncertain link beside sure ones: it adds more than it costs.
    assert (2, 2) in MinimumRisk()(words([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 0.6]]))


@pytest.mark.parametrize("concentration", [0.02, 0.1, 0.5, 5.0])
def test_minimum_risk_of_longer_sentences(concentration):
    """No size is better, nor any exchange of a link for another."""
    random = np.random.default_rng(3)
    rows = random.dirichlet(np.full(8, concentration), size=9)
    table = words(rows[:, 1:].tolist())
    found = MinimumRisk()(table)
    best = expected_gain(found, rows[:, 1:])
    by_probability = sorted(
        itertools.product(range(7), range(9)), key=lambda link: -rows[link[1], link[0] + 1]
    )
    for size in range(len(by_probability) + 1):
        assert expected_gain(by_probability[:size], rows[:, 1:]) <= best + 1e-12
    for link in by_probability:
        assert expected_gain(set(found) ^ {link}, rows[:, 1:]) <= best + 1e-12
        for other in found:
            exchanged = (set(found) - {other}) | {link}
            assert expected_gain(exchanged, rows[:, 1:]) <= best + 1e-12


def expected_gain(links, table):
    """Compute the expectation of 1 − AER from the joint distribution of |G| and |A ∩ G|."""
    joint = {(0, 0): 1.0}
    for target, row in enumerate(table):
        right = sum(row[source] for source, word in links if word == target)
        outcomes = {(0, 0): 1 - row.sum(), (1, 1): right, (1, 0): row.sum() - right}
        following = {}
        for (total, hits), probability in joint.items():
            for (more, hit), chance in outcomes.items():
                key = total + more, hits + hit
                following[key] = following.get(key, 0.0) + probability * chance
        joint = following
    return sum(
        probability * (2 * hits / (len(links) + total) if len(links) + total else 1.0)
        for (total, hits), probability in joint.items()
    )


def test_words_without_pieces_or_other_words():
    for empty in (torch.zeros(0, 3), torch.zeros(2, 0), torch.zeros(2, 3)):
        table = WordAlignment(empty, torch.zeros(len(empty)))
        for decoder in DECODERS.values():
            assert decoder()(table) == frozenset()


def test_argmax_and_threshold():
    table = words([[0.5, 0.3], [0.1, 0.2]])
    assert Argmax()(table) == {(0, 0)}  # the second word rather has no link
    assert Threshold(0.3)(table) == {(0, 0), (1, 0)}
    assert Threshold()(table) == {(0, 0)}


@pytest.mark.parametrize("threshold", [0.0, 1.1, float("nan")])
def test_invalid_thresholds_are_refused(threshold):
    with pytest.raises(ConfigError, match="a threshold is a probability"):
        Threshold(threshold)
