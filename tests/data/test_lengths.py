"""Batches of items of similar length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyro_align.data.lengths import batches_by_length


@given(lengths=st.lists(st.integers(1, 30), max_size=25), tokens=st.integers(1, 60))
def test_each_item_is_in_one_batch_longest_first_within_the_budget(lengths, tokens):
    batches = list(batches_by_length(lengths, tokens))
    order = [index for batch in batches for index in batch]
    assert order == sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= tokens
    for batch in batches[:-1]:
        # No batch but the last has room for one more item.
        assert (len(batch) + 1) * lengths[batch[0]] > tokens


def test_by_hand():
    assert list(batches_by_length([2, 5, 2, 9, 4], 10)) == [[3], [1, 4], [0, 2]]
    assert list(batches_by_length([], 10)) == []
