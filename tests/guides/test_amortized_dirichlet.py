"""Amortised guide for alignments on the simplex."""

from __future__ import annotations

import torch
from pyro import poutine
from pyro.infer import TraceMeanField_ELBO
from support import random_batch, tiny_guide, tiny_model

from pyro_align.guides import AmortizedDirichletGuide
from pyro_align.inference import RelaxedELBO
from pyro_align.models import DirichletModel
from pyro_align.testing import GuideContract


class TestAmortizedDirichletGuide(GuideContract):
    has_parameters = True

    def create_model(self, **settings):
        return tiny_model(DirichletModel, **settings)

    def create(self, model, *, seed=1):
        return tiny_guide(model, AmortizedDirichletGuide, seed=seed)

    def test_bound_is_below_the_evidence(self):
        """Covered by the tests of the objective, which integrate numerically."""


def test_scores_are_the_sum_of_prior_and_network():
    model, batch = tiny_model(DirichletModel), random_batch()
    guide = tiny_guide(model, AmortizedDirichletGuide)
    posterior = poutine.trace(guide).get_trace(batch).nodes["alignment"]["fn"]
    here = batch.source_mask.unsqueeze(1).expand_as(posterior.concentration)
    scores = model.states(batch).scores + guide.amortized.scores(batch)
    expected = (5 * torch.tanh(scores / 5)).exp()
    torch.testing.assert_close(posterior.concentration[here], expected[here])
    assert torch.equal(posterior.inside, here)


def test_with_zero_network_scores_it_equals_the_prior():
    model, batch = tiny_model(DirichletModel), random_batch()
    guide = tiny_guide(model, AmortizedDirichletGuide)
    with torch.no_grad():
        guide.amortized.bilinear.weight.zero_()
    terms = RelaxedELBO().terms(model, guide, batch)
    assert terms.total_kl.item() == 0
    with torch.no_grad():
        guide.amortized.bilinear.weight.fill_(0.1)
    assert RelaxedELBO().terms(model, guide, batch).total_kl > 0.01


def test_options_reach_the_network():
    model = tiny_model(DirichletModel, dropout=0.3)
    guide = AmortizedDirichletGuide(
        model, hidden=3, layers=2, dropout=0.1, share_embeddings=False
    ).amortized
    assert guide.bilinear.weight.shape == (6, 6)
    assert len(guide.source_network.layers) == 2
    assert guide.dropout.p == 0.1
    assert guide.own_features is not None


def test_stock_mean_field_uses_the_kl_in_closed_form():
    """Loss plus sampled log likelihood does not depend on the sample."""
    model, batch = tiny_model(DirichletModel), random_batch()
    guide = tiny_guide(model, AmortizedDirichletGuide)
    elbo, divergences = TraceMeanField_ELBO(max_plate_nesting=2), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        loss = elbo.differentiable_loss(model, guide, batch)
        torch.manual_seed(seed)
        drawn = poutine.trace(guide).get_trace(batch)
        replayed = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(batch)
        replayed.compute_log_prob()
        divergences.append(loss + replayed.nodes["tokens"]["log_prob"].sum())
    torch.testing.assert_close(*divergences)
    assert divergences[0] > 0
