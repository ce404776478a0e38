"""Model with soft attention."""

from __future__ import annotations

import torch
from support import evidence, random_batch, tiny_model

from pyro_align.models import CategoricalModel, SoftModel
from pyro_align.testing import ModelContract


class TestSoftModel(ModelContract):
    def create(self, **settings):
        return tiny_model(SoftModel, **settings)


class TestSoftModelOfCandidates(ModelContract):
    def create(self, **settings):
        return tiny_model(SoftModel, emission="sparse-product", **settings)


def test_soft_and_latent_attention_agree_for_one_source_position():
    soft, batch = tiny_model(SoftModel), random_batch((1, 1, 1))
    latent = CategoricalModel(soft.networks)
    torch.testing.assert_close(evidence(soft, batch), evidence(latent, batch))
    longer = random_batch((3, 4, 2))
    assert abs(evidence(soft, longer) - evidence(latent, longer)) > 1e-3
