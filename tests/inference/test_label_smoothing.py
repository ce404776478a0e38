"""Label smoothing of the likelihood in training."""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO
from support import gradient, padded, random_batch, tiny_guide, tiny_model

from pyro_align.distributions import (
    LabelSmoothing,
    ProductCategorical,
    SparseProductCategorical,
    VocabularyCategorical,
)
from pyro_align.errors import ConfigError
from pyro_align.guides import NoGuide
from pyro_align.inference import (
    EnumeratedELBO,
    ExactMarginal,
    Likelihood,
    label_smoothing,
    score_positions,
)
from pyro_align.models import CategoricalModel, MarkovModel, SoftModel
from pyro_align.testing import randomise

RATE = 0.3
VOCABULARY = 7


def drawn(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.double, generator=generator)


DISTRIBUTIONS = {
    "vocabulary": lambda: VocabularyCategorical(drawn(4, 1, 3, 5), drawn(VOCABULARY, 5), drawn(7)),
    "product": lambda: ProductCategorical(
        drawn(2, 3, 5), drawn(4, 2, 1, 2), drawn(VOCABULARY, 5), drawn(VOCABULARY)
    ),
    "stock": lambda: dist.Categorical(logits=drawn(4, 2, 3, VOCABULARY)),
}


@pytest.mark.parametrize("make", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS.keys())
def test_log_prob_is_the_expectation_over_tokens(make):
    base = make()
    value = torch.randint(VOCABULARY, (2, 3), generator=torch.Generator().manual_seed(0))
    weights = torch.full((2, 3, VOCABULARY), RATE / VOCABULARY, dtype=torch.double)
    weights.scatter_add_(-1, value.unsqueeze(-1), torch.full_like(weights[..., :1], 1 - RATE))
    expected = (base.logits * weights).sum(-1)
    torch.testing.assert_close(LabelSmoothing(base, RATE).log_prob(value), expected)


def smoothed_likelihood(model, batch):
    """``Π_v p(v | z) ** w_v`` of every alignment, in logarithms, by enumeration."""
    states = model.states(batch)
    places = torch.arange(batch.source.shape[1]).reshape(-1, 1, 1)
    log_probs = model.emission(states, places).logits
    gold = log_probs.gather(-1, batch.target.expand(log_probs.shape[:-1]).unsqueeze(-1))
    smoothed = (1 - RATE) * gold.squeeze(-1) + RATE * log_probs.mean(-1)
    return smoothed.movedim(0, -1)


@pytest.mark.parametrize(
    "settings",
    [{}, {"emission": "product"}, {"emission": "sparse-product"}, {"copying": True}],
)
def test_the_marginal_is_that_of_weighted_tokens_with_one_alignment(settings):
    model, batch = tiny_model(**settings), padded(random_batch(), source=1, target=1)
    with label_smoothing(RATE):
        loss = ExactMarginal().differentiable_loss(model, NoGuide(model), batch)
    log_prior = model.states(batch).scores.log_softmax(-1)
    marginal = (log_prior + smoothed_likelihood(model, batch)).logsumexp(-1)[batch.target_mask]
    torch.testing.assert_close(-loss, marginal.sum())
    torch.testing.assert_close(-gradient(loss, model), gradient(marginal.sum(), model))


def test_of_a_chain_too():
    model, batch = MarkovModel(tiny_model().networks, jump_width=2), random_batch()
    randomise(model.jumps, 3, 0.5)
    with label_smoothing(RATE):
        loss = ExactMarginal().differentiable_loss(model, NoGuide(model), batch)
    chain = model.prior(model.states(batch)).masked(batch.target_mask.unsqueeze(1))
    likelihood = smoothed_likelihood(model, batch) * batch.target_mask.unsqueeze(-1)
    evidence = chain.log_evidence(likelihood.unsqueeze(1)).sum()
    torch.testing.assert_close(-loss, evidence)


@pytest.mark.parametrize("emission", ["tanh", "sparse-product"])
def test_soft_attention_and_a_stock_elbo(emission):
    model, batch = tiny_model(SoftModel, emission=emission), random_batch()
    log_probs = model.next_token(model.states(batch))
    gold = log_probs.gather(-1, batch.target.unsqueeze(-1)).squeeze(-1)
    smoothed = ((1 - RATE) * gold + RATE * log_probs.mean(-1))[batch.target_mask].sum()
    guide = NoGuide(model)
    for objective in (Likelihood(), Trace_ELBO()):
        with label_smoothing(RATE):
            loss = objective.differentiable_loss(model, guide, batch)
        torch.testing.assert_close(-loss, smoothed)


def test_bounds_of_a_guide_are_smoothed_too():
    model, batch = tiny_model(CategoricalModel), random_batch()
    guide = tiny_guide(model)
    with label_smoothing(RATE):
        exact = EnumeratedELBO().differentiable_loss(model, guide, batch)
    q = guide.posterior(batch)["alignment"]
    prior = model.prior(model.states(batch)).logits
    gain = (q.probs * (smoothed_likelihood(model, batch) + prior - q.logits)).sum(-1)
    bound = gain[batch.target_mask].sum()
    torch.testing.assert_close(-exact, bound)


def test_without_smoothing_nothing_changes_and_scores_are_never_smoothed():
    model, batch = tiny_model(), random_batch()
    exact = ExactMarginal().loss(model, NoGuide(model), batch)
    with label_smoothing(0.0):
        assert ExactMarginal().loss(model, NoGuide(model), batch) == exact
    evidence = score_positions(model, None, batch).log_evidence.sum().item()
    assert -exact == pytest.approx(evidence)


@pytest.mark.parametrize("settings", [{}, {"emission": "product"}, {"emission": "sparse-product"}])
def test_no_logits_of_the_vocabulary_are_computed(settings, monkeypatch):
    """For every alignment they would take most of the time of a training step."""
    for kind in (VocabularyCategorical, ProductCategorical, SparseProductCategorical):
        monkeypatch.setattr(kind, "logits", property(lambda _: pytest.fail("logits")))
    model, batch = tiny_model(**settings), random_batch()
    with label_smoothing(RATE):
        assert ExactMarginal().loss(model, NoGuide(model), batch) > 0


def test_tokens_that_are_not_of_a_vocabulary_are_rejected():
    def model(_):
        pyro.sample("tokens", dist.Normal(0.0, 1.0), obs=torch.tensor(math.pi))

    with label_smoothing(RATE), pytest.raises(ConfigError, match=r"not a Normal: set training"):
        Trace_ELBO().loss(model, lambda _: None, None)
