"""Batches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import padded, random_batch, repeated

from pyro_align.data.batch import BOS, EOS, PAD, UNK, TextBatch

sentence = st.lists(st.integers(EOS + 1, 50), max_size=6).map(lambda ids: [*ids, EOS])
pairs = st.lists(st.tuples(sentence, sentence), min_size=1, max_size=5)


def test_the_special_ids_differ_and_padding_is_zero():
    assert PAD == 0
    assert len({PAD, UNK, BOS, EOS}) == 4


@settings(max_examples=50, deadline=None)
@given(pairs)
def test_a_batch_contains_the_sentences(pairs):
    sources, targets = zip(*pairs, strict=True)
    batch = TextBatch.from_ids(sources, targets)
    assert len(batch) == len(pairs)
    for ids, mask, lengths, sentences in (
        (batch.source, batch.source_mask, batch.source_lengths, sources),
        (batch.target, batch.target_mask, batch.target_lengths, targets),
    ):
        assert ids.dtype == torch.int64
        assert mask.dtype == torch.bool
        assert ids.shape == mask.shape == (len(pairs), max(map(len, sentences)))
        assert lengths.tolist() == [len(each) for each in sentences]
        assert [row[keep].tolist() for row, keep in zip(ids, mask, strict=True)] == list(sentences)
        assert (ids[~mask] == PAD).all()
        # True from the left without a gap: a mask is a length.
        assert torch.equal(mask.long().cumprod(1).sum(1), lengths)
    assert batch.num_targets == sum(map(len, targets))
    assert batch.indices.tolist() == list(range(len(pairs)))


@settings(max_examples=20, deadline=None)
@given(pairs)
def test_decoder_input_is_shifted_by_one_position(pairs):
    batch = TextBatch.from_ids(*zip(*pairs, strict=True))
    for shifted, (_, target) in zip(batch.target_input, pairs, strict=True):
        assert shifted[: len(target)].tolist() == [BOS, *target[:-1]]


def test_indices_are_kept():
    batch = TextBatch.from_ids([[5, 3], [3]], [[3], [3]], indices=[41, 7])
    assert batch.indices.tolist() == [41, 7]


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        ([[3]], [[3], [3]], "1 sources but 2 targets"),
        ([], [], "at least one sentence pair"),
        ([[3], []], [[3], [3]], "has no ids"),
        ([[3], [3]], [[], [3]], "has no ids"),
    ],
)
def test_invalid_batches_raise_an_error(sources, targets, message):
    with pytest.raises(ValueError, match=message):
        TextBatch.from_ids(sources, targets)


def test_only_ids_and_masks_move_to_a_device():
    batch = random_batch()
    moved = batch.to("meta", non_blocking=True)
    for name in ("source", "target", "source_mask", "target_mask"):
        assert getattr(moved, name).device.type == "meta"
        assert getattr(batch, name).device.type == "cpu"
    for name in ("source_lengths", "target_lengths", "indices"):
        assert getattr(moved, name) is getattr(batch, name)


@pytest.mark.cuda
def test_a_pinned_batch_is_pinned():
    pinned = random_batch().pin_memory()
    assert pinned.source.is_pinned()
    assert pinned.target_mask.is_pinned()
    assert not pinned.source_lengths.is_pinned()


def test_the_helpers_of_the_suite_make_valid_batches():
    batch = random_batch((3, 4, 1), (4, 2, 3))
    wide = padded(batch, source=2, target=1)
    assert wide.source.shape == (3, 6)
    assert wide.target.shape == (3, 5)
    assert (wide.source[~wide.source_mask] == PAD).all()
    assert wide.num_targets == batch.num_targets
    many = repeated(batch, 3)
    assert len(many) == 9
    assert torch.equal(many.target[3:6], batch.target[1].expand(3, -1))
    assert many.source_lengths.tolist() == [3] * 3 + [4] * 3 + [1] * 3
