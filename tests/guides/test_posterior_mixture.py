"""Guide that mixes prior and inference network."""

from __future__ import annotations

import torch
from support import random_batch, tiny_guide, tiny_model

from pyro_align.guides import PosteriorMixtureGuide
from pyro_align.inference import EnumeratedELBO
from pyro_align.testing import GuideContract


class TestPosteriorMixtureGuide(GuideContract):
    has_parameters = True

    def create_model(self, **settings):
        return tiny_model(**settings)

    def create(self, model, *, seed=1):
        return tiny_guide(model, PosteriorMixtureGuide, seed=seed)


def test_equals_the_mixture():
    model, batch = tiny_model(), random_batch()
    guide = tiny_guide(model, PosteriorMixtureGuide)
    states = model.states(batch)
    gate = 1 / (1 + (-states.hidden @ guide.gate.weight[0] - guide.gate.bias).exp())
    prior, network = states.scores.softmax(-1), guide.amortized.scores(batch).softmax(-1)
    expected = gate.unsqueeze(-1) * prior + (1 - gate.unsqueeze(-1)) * network
    torch.testing.assert_close(guide.scores(batch).exp(), expected)
    assert 0.01 < gate[batch.target_mask].min() < gate[batch.target_mask].max() < 0.99


def test_a_saturated_gate_selects_one_component():
    model, batch = tiny_model(), random_batch()
    guide = tiny_guide(model, PosteriorMixtureGuide)
    kl = {}
    with torch.no_grad():
        guide.gate.weight.zero_()
        for bias in (-50.0, 0.0, 50.0):
            guide.gate.bias.fill_(bias)
            kl[bias] = EnumeratedELBO().terms(model, guide, batch).total_kl.item()
    network = EnumeratedELBO().terms(model, guide.amortized, batch).total_kl.item()
    assert abs(kl[50.0]) < 1e-12
    assert abs(kl[-50.0] - network) < 1e-9
    assert 0 < kl[0.0] < network / 2
