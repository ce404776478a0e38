import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from pyro_align.posterior import merge_pieces

# Pieces of words in order; a word may have none.
piece_counts = st.lists(st.integers(0, 3), max_size=4)


def index(counts):
    return [word for word, count in enumerate(counts) for _ in range(count)] + [-1]


@given(piece_counts, piece_counts, st.integers(0, 2**31))
def test_against_sums_written_out(target_counts, source_counts, seed):
    targets, sources = index(target_counts), index(source_counts)
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.rand(len(targets), len(sources), dtype=torch.float64, generator=generator)
    matrix /= matrix.sum(1, keepdim=True)
    words = merge_pieces(matrix, targets, sources, len(target_counts), len(source_counts))
    assert words.weights.shape == (len(target_counts), len(source_counts))
    for t, pieces in enumerate(target_counts):
        rows = [row for row, word in enumerate(targets) if word == t]
        assert len(rows) == pieces
        for s in range(len(source_counts)):
            cells = [
                matrix[r, c].item() for r in rows for c, word in enumerate(sources) if word == s
            ]
            expected = sum(cells) / pieces if pieces else 0.0
            assert words.weights[t, s].item() == pytest.approx(expected)
        null = sum(matrix[r, -1].item() for r in rows) / pieces if pieces else 0.0
        assert words.null[t].item() == pytest.approx(null)
        total = words.weights[t].sum() + words.null[t]
        assert total.item() == pytest.approx(1.0 if pieces else 0.0)


def test_by_hand():
    # Source pieces: two of word 0, one of word 1, EOS; target pieces: two of word 0, EOS.
    matrix = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.1, 0.3], [0.0, 0.0, 0.0, 1.0]])
    words = merge_pieces(matrix, [0, 0, -1], [0, 0, 1, -1], 1, 2)
    assert_close(words.weights, torch.tensor([[0.45, 0.2]]))
    assert_close(words.null, torch.tensor([0.35]))


def test_an_index_of_another_length_is_rejected():
    with pytest.raises(ValueError, match=r"but the indices are for \(2, 2\) pieces"):
        merge_pieces(torch.ones(2, 3), [0, -1], [0, -1], 1, 1)
