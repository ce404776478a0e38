"""Prior as a guide."""

from __future__ import annotations

import torch
from pyro import poutine
from support import random_batch, tiny_guide, tiny_model

from pyro_align.guides import PriorGuide
from pyro_align.testing import GuideContract


class TestPriorGuide(GuideContract):
    has_parameters = False

    def create_model(self, **settings):
        return tiny_model(**settings)

    def create(self, model, *, seed=1):
        return tiny_guide(model, PriorGuide, seed=seed)


def test_equals_the_prior():
    model, batch = tiny_model(), random_batch()
    guide = poutine.trace(PriorGuide(model)).get_trace(batch).nodes["alignment"]["fn"]
    prior = poutine.trace(model).get_trace(batch).nodes["alignment"]["fn"]
    assert torch.equal(guide.logits, prior.logits)
