"""Reweighted wake-sleep against sums over all K-tuples of alignments, and its limit."""

from __future__ import annotations

import pytest
import torch
from support import random_batch, repeated
from tables import ONE, POSITIONS, Tuples, World, flat_gradient, gradients, worst_error

from pyro_align.errors import ConfigError
from pyro_align.inference import ReweightedWakeSleep

ROWS = 20_000


def exact(samples):
    """Expected self-normalised updates of model and guide."""
    world = World(1, POSITIONS)
    tuples = Tuples.of(world, ONE, samples)
    tuples.probability = tuples.probability.detach()
    weights = tuples.log_weight.detach().softmax(-1)
    updates = weights * (tuples.log_emission + tuples.log_prior + tuples.log_guide)
    return flat_gradient(tuples.expectation(updates.sum(-1)), world)


def limit():
    """Wake-phase updates under the exact posterior."""
    world = World(1, POSITIONS)
    p, q, likelihood = world.parts(ONE)
    posterior = (p + likelihood).softmax(-1).detach()
    return flat_gradient((posterior * (p + likelihood + q)).sum(), world)


@pytest.mark.parametrize("samples", [2, 3, 5])
def test_gradient_matches_enumeration_of_all_tuples(samples):
    assert worst_error(gradients(ReweightedWakeSleep(samples=samples), ROWS), exact(samples)) < 6


def test_the_tolerance_detects_a_wrong_gradient():
    class OneWeightABatch(ReweightedWakeSleep):
        """A wrong estimator with the product of the weights of all positions, as in stock Pyro."""

        def _surrogate(self, draws):
            weights = draws.log_weight.detach().sum(-1, keepdim=True).softmax(0)
            return (weights * (draws.log_emission + draws.log_prior + draws.log_guide)).sum(0)

    assert worst_error(gradients(OneWeightABatch(samples=3), ROWS), exact(3)) > 20
    assert worst_error(gradients(ReweightedWakeSleep(samples=2), ROWS), exact(3)) > 20


def test_updates_converge_to_the_exact_wake_updates():
    errors = [(exact(samples) - limit()).norm().item() for samples in (2, 4, 8)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.5 * errors[0]
    many = gradients(ReweightedWakeSleep(samples=20_000), 1)[0]
    assert (many - limit()).norm() < 0.05 * limit().norm()


def test_exact_updates_are_gradients_of_evidence_and_inclusive_kl():
    world = World(1, POSITIONS)
    p, q, likelihood = world.parts(ONE)
    posterior = (p + likelihood).log_softmax(-1).detach()
    inclusive = (posterior.exp() * (posterior - q)).sum()
    torch.testing.assert_close(flat_gradient(world.evidence(ONE) - inclusive, world), limit())


def test_loss_is_the_negative_importance_weighted_bound():
    world = World(1, POSITIONS)
    tuples = Tuples.of(world, ONE, 3)
    expected = -tuples.expectation(tuples.bound).detach().reshape(1)
    many, batch = World(400, POSITIONS), repeated(ONE, 400)
    draws = [
        ReweightedWakeSleep(samples=3).loss(many.model, many.guide, batch) / 400 for _ in range(50)
    ]
    assert worst_error(torch.tensor(draws, dtype=torch.float64).unsqueeze(1), expected) < 8


def test_bound_equals_the_evidence_if_the_guide_is_the_posterior():
    batch = random_batch((3, 3), (3, 2))
    world = World(*batch.target.shape)
    loss = ReweightedWakeSleep().loss(world.model, world.exact_posterior, batch)
    assert -loss == pytest.approx(world.evidence(batch).item(), rel=1e-12)


def test_a_kl_weight_is_rejected():
    world, objective = World(1, POSITIONS), ReweightedWakeSleep()
    objective.kl_weight = 0.5
    with pytest.raises(ConfigError, match=r"0\.5.*kl_schedule = 'constant'"):
        objective.loss(world.model, world.guide, ONE)


def test_one_sample_is_rejected():
    with pytest.raises(ConfigError, match="samples = 2 or more, got 1"):
        ReweightedWakeSleep(samples=1)
