"""The Gaussian guide of a sentence."""

import dataclasses

import pytest
import torch
from sentences import BATCH, guide_of, vae
from torch.nn.functional import pad

from pyro_align.inference.traces import own_parameters


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encoder": "convolutional", "layers": 2},
        {"encoder": "transformer", "hidden": 4, "heads": 2},
    ],
    ids=str,
)
def test_padding_and_other_sentences_do_not_matter(options):
    model = vae(3)
    guide = guide_of(model, **options)
    whole = guide.posterior(BATCH)["sentence"]
    assert whole.batch_shape == (3, 1)
    assert whole.event_shape == (3,)
    wide = dataclasses.replace(
        BATCH,
        target=pad(BATCH.target, (0, 2)),
        target_mask=pad(BATCH.target_mask, (0, 2), value=False),
    )
    torch.testing.assert_close(guide.posterior(wide)["sentence"].mean, whole.mean)
    alone = type(BATCH).from_ids([BATCH.target[1, :2].tolist()])
    found = guide.posterior(alone)["sentence"]
    torch.testing.assert_close(found.mean[0], whole.mean[1])
    torch.testing.assert_close(found.variance[0], whole.variance[1])


def test_embeddings_are_its_own_unless_shared():
    model = vae()
    assert any(
        parameter.shape == model.networks.embedding.weight.shape
        for parameter in own_parameters(guide_of(model), model)
    )
    shared = guide_of(model, share_embeddings=True)
    assert shared.own_features is None
    assert all(
        parameter is not model.networks.embedding.weight
        for parameter in own_parameters(shared, model)
    )
