"""Free bits against hand-written sums."""

from __future__ import annotations

import pytest
import torch
from support import random_batch
from tables import SOURCE, World, flat_gradient

from pyro_align.errors import ConfigError
from pyro_align.inference import EnumeratedELBO, ScoreFunctionELBO
from pyro_align.inference.free_bits import free_bits

OBJECTIVES = {
    "enumerated": EnumeratedELBO,
    "sampled": lambda **options: ScoreFunctionELBO(baseline="none", samples=3, **options),
}


def divergences(world, batch):
    p, q, _ = world.parts(batch)
    return (q.exp() * (q - p)).sum(-1)


def hand_written():
    """KL of three guides, with ¾, ½ and ⅓ on the first of two values, from a uniform prior."""
    probs = torch.tensor([[3 / 4, 1 / 4], [1 / 2, 1 / 2], [1 / 3, 2 / 3]], dtype=torch.float64)
    return (probs * (2 * probs).log()).sum(-1)


def test_matches_a_hand_computed_example():
    kl = hand_written()
    torch.testing.assert_close(
        kl, torch.tensor([0.1308120, 0.0, 0.0566330], dtype=torch.float64), atol=1e-6, rtol=0
    )
    expected = torch.tensor([0.1308120, 0.1, 0.1], dtype=torch.float64)
    torch.testing.assert_close(free_bits(kl, 0.1), expected, atol=1e-6, rtol=0)


def test_zero_free_bits_change_nothing():
    kl = torch.tensor([-1e-17, 0.0, 1.0], dtype=torch.float64, requires_grad=True)
    assert free_bits(kl, 0.0) is kl


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
@pytest.mark.parametrize("nats", [0.0, 0.5, 1.0, 100.0])
def test_loss_equals_the_hand_written_sum(name, kl_weight, nats):
    batch = random_batch((SOURCE, SOURCE), (3, 2))
    world = World(*batch.target.shape)
    with torch.no_grad():
        world.posterior[0, 1] = world.prior[0, 1]  # No divergence there.
        world.posterior[1, 0] = -3 * world.prior[1, 0]
    kl = divergences(world, batch)
    objective = OBJECTIVES[name](free_bits=nats)
    objective.kl_weight = kl_weight
    terms = objective.terms(world.model, world.guide, batch)
    assert kl[0, 1] < 1e-12
    assert 1 < kl[1, 0] < 100
    mask = batch.target_mask
    penalty = torch.where(kl > nats, kl, nats)[mask].sum()
    torch.testing.assert_close(terms.total_kl, kl[mask].sum().detach())
    torch.testing.assert_close(
        terms.loss.detach(), kl_weight * penalty.detach() - terms.log_likelihood
    )


@pytest.mark.parametrize("nats", [0.0, 0.5, 100.0])
def test_gradient_of_an_unpenalised_position_is_that_of_its_likelihood(nats):
    batch = random_batch((SOURCE, SOURCE), (3, 2))
    world = World(*batch.target.shape)
    _, q, likelihood = world.parts(batch)
    kl = divergences(world, batch)
    costs = kl.detach() > nats
    expected = (
        (q.exp() * likelihood).sum(-1) * batch.target_mask - kl * (costs & batch.target_mask)
    ).sum()
    loss = EnumeratedELBO(free_bits=nats).differentiable_loss(world.model, world.guide, batch)
    torch.testing.assert_close(-flat_gradient(loss, world), flat_gradient(expected, world))


@pytest.mark.parametrize("objective", [EnumeratedELBO, ScoreFunctionELBO])
def test_negative_free_bits_are_rejected(objective):
    with pytest.raises(ConfigError, match=r"free_bits.*0 or more; got -0\.5"):
        objective(free_bits=-0.5)
