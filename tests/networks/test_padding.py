"""Additional padding does not change the results of any network."""

from __future__ import annotations

import itertools

import pytest
import torch
from support import evidence, gradient, padded, random_batch, tiny_model

from pyro_align.data.batch import TextBatch
from pyro_align.models import CategoricalModel, SoftModel

KINDS = list(
    itertools.product(
        ["lstm", "gru"], ["dot", "general", "mlp"], [False, True], ["none", "output", "all"]
    )
)


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def check(model, batch, wide, rows):
    """Assert that results on ``batch`` equal those on the first ``rows`` sentences of ``wide``."""
    source, target = batch.source.shape[1], batch.target.shape[1]
    states, wide_states = model.states(batch), model.states(wide)
    mask, source_mask = (
        batch.target_mask,
        batch.source_mask.unsqueeze(1) & batch.target_mask[..., None],
    )
    log_probs = model.next_token(states)
    wide_log_probs = model.next_token(wide_states)[:rows, :target]
    close(wide_log_probs[mask], log_probs[mask])
    scores = wide_states.scores[:rows, :target, :source]
    close(scores[source_mask], states.scores[source_mask])
    close(
        wide_states.scores.softmax(-1)[:rows, :target, :source][mask],
        states.scores.softmax(-1)[mask],
    )
    # No probability on source padding.
    hidden = ~wide.source_mask.unsqueeze(1).expand_as(wide_states.scores)
    assert (wide_states.scores.softmax(-1)[hidden] == 0).all()


@pytest.mark.parametrize(("cell", "attention", "feeding", "tie"), KINDS)
def test_more_padding_changes_neither_value_nor_gradient(cell, attention, feeding, tie):
    model = tiny_model(
        cell=cell,
        attention=attention,
        input_feeding=feeding,
        tie_embeddings=tie,
        decoder_layers=2 if feeding else 1,
    )
    batch = random_batch()
    wide = padded(batch, source=2, target=3)
    check(model, batch, wide, rows=3)
    narrow = gradient(evidence(model, batch), model)
    assert torch.isfinite(narrow).all()
    assert narrow.abs().max() > 0.01
    close(gradient(evidence(model, wide), model), narrow)


@pytest.mark.parametrize("lexical", [False, True])
@pytest.mark.parametrize("emission", ["product", "sparse-product"])
@pytest.mark.parametrize("kind", [SoftModel, CategoricalModel])
def test_more_padding_changes_nothing_for_a_product_emission(kind, emission, lexical):
    model = tiny_model(kind, emission=emission, lexical=lexical)
    batch = random_batch()
    wide = padded(batch, source=2, target=3)
    check(model, batch, wide, rows=3)
    close(gradient(evidence(model, wide), model), gradient(evidence(model, batch), model))


@pytest.mark.parametrize("kind", [SoftModel, CategoricalModel])
@pytest.mark.parametrize("feeding", [False, True, "posterior"])
def test_a_longer_sentence_in_the_batch_changes_nothing(kind, feeding):
    model = tiny_model(kind, input_feeding=feeding)
    short = random_batch((3, 2), (2, 4))
    sources = [row[m].tolist() for row, m in zip(short.source, short.source_mask, strict=True)]
    targets = [row[m].tolist() for row, m in zip(short.target, short.target_mask, strict=True)]
    joint = TextBatch.from_ids([*sources, [5, 6, 7, 8, 4, 3]], [*targets, [4, 5, 6, 7, 8, 8, 3]])
    check(model, short, joint, rows=2)


@pytest.mark.parametrize("feeding", [False, True])
def test_sentences_are_independent(feeding):
    model, batch = tiny_model(input_feeding=feeding), random_batch()
    total = sum(
        evidence(
            model,
            TextBatch.from_ids(
                [batch.source[i, : batch.source_lengths[i]].tolist()],
                [batch.target[i, : batch.target_lengths[i]].tolist()],
            ),
        )
        for i in range(len(batch))
    )
    close(evidence(model, batch), total)


def test_token_ids_on_padding_are_ignored():
    """Only the mask determines what is padding, not the token id."""
    model, batch = tiny_model(), padded(random_batch(), source=2, target=2)
    filled = TextBatch(
        source=batch.source.masked_fill(~batch.source_mask, 6),
        target=batch.target.masked_fill(~batch.target_mask, 7),
        source_mask=batch.source_mask,
        target_mask=batch.target_mask,
        source_lengths=batch.source_lengths,
        target_lengths=batch.target_lengths,
        indices=batch.indices,
    )
    close(evidence(model, filled), evidence(model, batch))
    close(gradient(evidence(model, filled), model), gradient(evidence(model, batch), model))
