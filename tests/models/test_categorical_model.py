"""Model with categorical alignments."""

from __future__ import annotations

import pytest
import torch
from pyro import poutine
from support import padded, random_batch, tiny_model

from pyro_align.models import CategoricalModel
from pyro_align.testing import ModelContract


class TestCategoricalModel(ModelContract):
    def create(self, **settings):
        return tiny_model(CategoricalModel, **settings)


class TestCategoricalModelWithInputFeeding(ModelContract):
    def create(self, **settings):
        return tiny_model(CategoricalModel, input_feeding=True, cell="gru", **settings)


class TestCategoricalModelWithPosteriorAttention(ModelContract):
    def create(self, **settings):
        return tiny_model(CategoricalModel, input_feeding="posterior", **settings)


class TestCategoricalModelOfTwoExperts(ModelContract):
    def create(self, **settings):
        return tiny_model(CategoricalModel, emission="product", lexical=True, **settings)


class TestCategoricalModelOfCandidates(ModelContract):
    def create(self, **settings):
        return tiny_model(CategoricalModel, emission="sparse-product", lexical=True, **settings)


class TestCategoricalModelThatCopies(ModelContract):
    def create(self, **settings):
        return tiny_model(CategoricalModel, copying=True, **settings)


def test_the_prior_is_the_attention():
    model, batch = tiny_model(), random_batch()
    trace = poutine.trace(model).get_trace(batch)
    torch.testing.assert_close(
        trace.nodes["alignment"]["fn"].logits, model.states(batch).scores.log_softmax(-1)
    )


def test_emission_of_enumerated_alignments_equals_one_at_a_time():
    model, batch = tiny_model(), random_batch()
    states = model.states(batch)
    support = torch.arange(batch.source.shape[1]).reshape(-1, 1, 1)
    together = model.emission(states, support).logits
    for s in range(len(support)):
        alone = model.emission(states, torch.full(batch.target.shape, s)).logits
        torch.testing.assert_close(together[s], alone)


def test_one_hot_weights_are_equivalent_to_positions():
    model, batch = tiny_model(), random_batch((4, 4), (2, 3))
    states = model.states(batch)
    positions = torch.randint(4, (5, 2, 3))
    weights = torch.nn.functional.one_hot(positions, 4).double()
    torch.testing.assert_close(
        model.emission(states, weights).logits, model.emission(states, positions).logits
    )


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_top_k_renormalises_the_prior(top_k):
    model, batch = tiny_model(), padded(random_batch((3, 5, 1)), source=1)
    states = model.states(batch)
    predicted = model.next_token(states, top_k).exp()
    prior = states.scores.softmax(-1)
    for b in range(len(batch)):
        for t in range(batch.target.shape[1]):
            best = prior[b, t].argsort(descending=True)[:top_k].tolist()
            weight = sum(prior[b, t, s] for s in best)
            expected = sum(
                prior[b, t, s]
                / weight
                * model.emission(states, torch.tensor([[s]])).logits[b, t].exp()
                for s in best
            )
            torch.testing.assert_close(predicted[b, t], expected)


@pytest.mark.parametrize("emission", ["tanh", "product", "sparse-product"])
def test_top_k_of_all_but_one_leaves_out_the_least_probable(emission):
    model, batch = tiny_model(emission=emission), random_batch((3, 3), (2, 3))
    states = model.states(batch)
    prior = states.scores.softmax(-1)
    kept = prior.masked_fill(prior == prior.amin(-1, keepdim=True), 0.0)
    kept = kept / kept.sum(-1, keepdim=True)
    support = torch.arange(3).reshape(-1, 1, 1)
    emissions = model.emission(states, support).logits.exp()
    expected = torch.einsum("sbtv,bts->btv", emissions, kept)
    torch.testing.assert_close(model.next_token(states, 2).exp(), expected)
