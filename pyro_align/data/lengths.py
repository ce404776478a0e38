"""Batches of items of similar length, each item once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches_by_length(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Yield batches of items of similar length, longest first.

    Args:
        lengths: length of each item.
        tokens: largest padded size of a batch, its number of items times its longest length. A
            longer item has a batch of its own.

    Yields:
        Indices of the items of a batch, longest first.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        # The first of a batch is its longest.
        if batch and lengths[batch[0]] * (len(batch) + 1) > tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
