import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.errors import ConfigError
from pyro_align.posterior import WordAlignment, best_links, threshold_links


def words(weights, null):
    shape = (len(null), -1) if null else (0, 2)
    return WordAlignment(torch.tensor(weights).reshape(shape), torch.tensor(null))


EXAMPLE = words(
    [[0.7, 0.2, 0.0], [0.3, 0.1, 0.2], [0.0, 0.3, 0.4], [0.0, 0.0, 0.0], [0.5, 0.0, 0.0]],
    [0.1, 0.4, 0.3, 0.0, 0.5],
)


def test_best_links_by_hand():
    # Word 1 prefers null, word 3 has no piece, word 4 ties with null and is linked.
    assert best_links(EXAMPLE) == {(0, 0), (2, 2), (0, 4)}


def test_threshold_links_by_hand():
    assert threshold_links(EXAMPLE, 0.3) == {(0, 0), (0, 1), (1, 2), (2, 2), (0, 4)}
    assert threshold_links(EXAMPLE, 1.0) == frozenset()


def test_sentences_without_words():
    no_target = words([], [])
    no_source = WordAlignment(torch.zeros(2, 0), torch.ones(2))
    for empty in (no_target, no_source):
        assert best_links(empty) == threshold_links(empty, 0.5) == frozenset()


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.5, float("nan")])
def test_invalid_thresholds_are_rejected(threshold):
    with pytest.raises(ConfigError, match="threshold"):
        threshold_links(EXAMPLE, threshold)


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), max_size=4))
def test_against_loops(rows):
    example = WordAlignment(
        torch.tensor([row[1:] for row in rows], dtype=torch.float64).reshape(-1, 3),
        torch.tensor([row[0] for row in rows], dtype=torch.float64),
    )
    best, above = set(), set()
    for target, (null, *weights) in enumerate(rows):
        top = max(weights)
        if top > 0 and top >= null:
            best.add((weights.index(top), target))
        above |= {(source, target) for source, weight in enumerate(weights) if weight >= 0.25}
    assert best_links(example) == best
    assert threshold_links(example, 0.25) == above
