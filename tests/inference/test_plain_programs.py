"""Objectives accept plain functions that are Pyro programs with the right sites and plates."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch
from support import random_batch
from tables import ONE, POSITIONS, SOURCE, World, flat_gradient, gradients, worst_error

from pyro_align.inference import EnumeratedELBO, ExactMarginal, Likelihood, ScoreFunctionELBO

ROWS = 20_000


@pytest.fixture
def batch():
    return random_batch((3, 3), (3, 2))


@pytest.fixture
def world(batch):
    return World(*batch.target.shape)


def nothing(batch):
    """A guide without sites."""


def agree(ours, expected, leaves):
    """Assert that two values and their gradients are equal."""
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(
        *(
            torch.autograd.grad(
                value, leaves, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            for value in (ours, expected)
        )
    )


def test_exact_marginal(world, batch):
    loss = ExactMarginal()(world.model, nothing)(batch)
    agree(-loss, world.evidence(batch), world.leaves)


@pytest.mark.parametrize("kl_weight", [1.0, 0.4])
def test_enumerated_elbo(world, batch, kl_weight):
    objective = EnumeratedELBO()
    objective.kl_weight = kl_weight
    agree(-objective(world.model, world.guide)(batch), world.bound(batch, kl_weight), world.leaves)


def test_likelihood(world, batch):
    def model(batch):
        first, second, mask = world.plates(batch)
        with first, second, mask:
            mean = world.prior.softmax(-1) @ world.emission
            pyro.sample("tokens", dist.Categorical(logits=mean), obs=batch.target)

    mean = (world.prior.softmax(-1) @ world.emission).log_softmax(-1)
    gold = mean.gather(-1, batch.target.unsqueeze(-1)).squeeze(-1)
    agree(-Likelihood()(model, nothing)(batch), (gold * batch.target_mask).sum(), world.leaves)


@pytest.mark.parametrize("kl_weight", [1.0, 0.4])
@pytest.mark.parametrize(
    ("baseline", "samples"),
    [("none", 1), ("none", 4), ("average", 1), ("leave-one-out", 2), ("leave-one-out", 4)],
)
def test_score_function_is_unbiased_in_every_coordinate(kl_weight, baseline, samples):
    """One call gives thousands of independent gradients: every sentence has its own table."""
    small = World(1, POSITIONS)
    objective = ScoreFunctionELBO(baseline=baseline, samples=samples)
    objective.kl_weight = kl_weight
    if baseline == "average":
        objective.baseline.average.fill_(-2.0)
    expected = flat_gradient(small.bound(ONE, kl_weight), small)
    assert worst_error(gradients(objective, ROWS), expected) < 6


def test_padding_gets_no_gradient(world, batch):
    for objective in (EnumeratedELBO(), ScoreFunctionELBO(baseline="none", samples=3)):
        loss = objective(world.model, world.guide)(batch)
        for grad in torch.autograd.grad(loss, (world.prior, world.posterior)):
            assert (grad[~batch.target_mask] == 0).all()
            assert (grad[batch.target_mask] != 0).all()


def test_two_observed_sites(world, batch):
    """A second site that depends on the alignment is treated like the first."""
    side = torch.randn(SOURCE, 4, dtype=torch.float64, requires_grad=True)
    tags = torch.randint(4, batch.target.shape)

    def model(batch):
        first, second, mask = world.plates(batch)
        with first, second, mask:
            alignment = pyro.sample("alignment", dist.Categorical(logits=world.prior))
            rows = torch.arange(len(batch)).unsqueeze(-1)
            emission = dist.Categorical(logits=world.emission[rows, alignment])
            pyro.sample("tokens", emission, obs=batch.target)
            pyro.sample("tags", dist.Categorical(logits=side[alignment]), obs=tags)

    p, q, likelihood = world.parts(batch)
    likelihood = likelihood + side.log_softmax(-1).T[tags]
    mask = batch.target_mask
    evidence = ((p + likelihood).logsumexp(-1) * mask).sum()
    bound = ((q.exp() * (likelihood - q + p)).sum(-1) * mask).sum()
    leaves = (*world.leaves, side)
    agree(-ExactMarginal()(model, nothing)(batch), evidence, leaves)
    agree(-EnumeratedELBO()(model, world.guide)(batch), bound, leaves)
    sampled = ScoreFunctionELBO(baseline="none", samples=4000)
    terms = [sampled.terms(model, world.guide, batch) for _ in range(5)]
    mean = sum(each.loss.item() for each in terms) / 5
    assert mean == pytest.approx(-bound.item(), rel=0.02)


def test_a_sentence_level_observation_is_counted_once(world, batch):
    def model(batch):
        first, second, mask = world.plates(batch)
        with first:
            flag = dist.Bernoulli(logits=world.prior[:, :1, 0])
            pyro.sample("flag", flag, obs=torch.ones(len(batch), 1, dtype=torch.float64))
        with first, second, mask:
            alignment = pyro.sample("alignment", dist.Categorical(logits=world.prior))
            rows = torch.arange(len(batch)).unsqueeze(-1)
            emission = dist.Categorical(logits=world.emission[rows, alignment])
            pyro.sample("tokens", emission, obs=batch.target)

    extra = world.prior[:, 0, 0].sigmoid().log().sum()
    agree(-ExactMarginal()(model, nothing)(batch), world.evidence(batch) + extra, world.leaves)
    agree(-EnumeratedELBO()(model, world.guide)(batch), world.bound(batch) + extra, world.leaves)


def test_soft_attention_baseline_rejects_a_model_without_its_attributes(world, batch):
    with pytest.raises(ValueError, match="baseline"):
        ScoreFunctionELBO()(world.model, world.guide)(batch)
