"""Model with Dirichlet alignments."""

from __future__ import annotations

import pytest
import torch
from pyro import poutine
from support import evidence, gradient, padded, random_batch, tiny_guide, tiny_model

from pyro_align.distributions import PaddedDirichlet, concentrations
from pyro_align.guides import AmortizedDirichletGuide
from pyro_align.models import DirichletModel, SoftModel
from pyro_align.testing import ModelContract


class TestDirichletModel(ModelContract):
    def create(self, **settings):
        return tiny_model(DirichletModel, **settings)

    def guide(self, model):
        return tiny_guide(model, AmortizedDirichletGuide)

    marginalised = guide

    def test_next_token_matches_the_program(self):
        """Given the mean alignment; gradients flow through the mean."""
        model, batch = self.create(), padded(random_batch(), source=1, target=1)
        prior = poutine.trace(model).get_trace(batch).nodes["alignment"]["fn"]
        plugged = poutine.condition(model, {"alignment": prior.mean})
        trace = poutine.trace(plugged).get_trace(batch)
        trace.compute_log_prob()
        said = trace.nodes["tokens"]["log_prob"].sum()
        torch.testing.assert_close(said, evidence(model, batch))
        torch.testing.assert_close(gradient(said, model), gradient(evidence(model, batch), model))


class TestDirichletModelWithInputFeeding(TestDirichletModel):
    def create(self, **settings):
        return tiny_model(DirichletModel, input_feeding=True, cell="gru", **settings)


def test_the_prior_is_a_dirichlet_without_padding():
    model, batch = tiny_model(DirichletModel), random_batch()
    prior = poutine.trace(model).get_trace(batch).nodes["alignment"]["fn"]
    assert isinstance(prior, PaddedDirichlet)
    scores = model.states(batch).scores
    here = batch.source_mask.unsqueeze(1).expand_as(scores)
    assert torch.equal(prior.inside, here)
    expected = (5 * torch.tanh(scores[here] / 5)).exp()
    torch.testing.assert_close(prior.concentration[here], expected)


def test_the_emission_reads_the_weighted_sum_of_the_values():
    model, batch = tiny_model(DirichletModel), random_batch((3, 2), (2, 3))
    states = model.states(batch)
    weights = torch.rand(5, 2, 3, 3, dtype=torch.float64)
    logits = model.emission(states, weights).logits
    for k, b, t in ((0, 0, 0), (4, 1, 2), (2, 0, 1)):
        context = sum(weights[k, b, t, s] * states.memory.values[b, s] for s in range(3))
        alone = model.networks.emission(states.hidden[b, t], context).logits
        torch.testing.assert_close(logits[k, b, t], alone)


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_top_k_renormalises_the_largest_weights(top_k):
    model, batch = tiny_model(DirichletModel), random_batch((4,), (3,))
    states = model.states(batch)
    predicted = model.next_token(states, top_k)
    mean = model.prior(states).mean
    for t in range(3):
        best = mean[0, t].argsort(descending=True)[:top_k]
        kept = mean[0, t, best] / mean[0, t, best].sum()
        context = kept @ states.memory.values[0, best]
        alone = model.networks.emission(states.hidden[0, t], context).logits
        torch.testing.assert_close(predicted[0, t], alone)


def test_the_mean_with_small_scores_is_soft_attention():
    scores = torch.randn(7, dtype=torch.float64) * 1e-3
    mean = concentrations(scores) / concentrations(scores).sum()
    torch.testing.assert_close(mean, scores.softmax(-1), rtol=1e-7, atol=0)


def test_with_one_source_position_the_model_is_soft_attention():
    model, batch = tiny_model(DirichletModel), random_batch((1, 1), (3, 2))
    soft = SoftModel(model.networks)
    torch.testing.assert_close(evidence(model, batch), evidence(soft, batch))
    longer = random_batch((3, 4), (3, 2))
    assert abs(evidence(model, longer) - evidence(soft, longer)) > 1e-3
