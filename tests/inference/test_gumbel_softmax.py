"""The Gumbel-softmax objective: its gradient and its bias."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from support import (
    SIGMAS,
    assert_unbiased,
    gradient,
    mean_error,
    parameters,
    random_batch,
    repeated,
    tiny_guide,
    tiny_model,
)

from pyro_align.distributions import GumbelSoftmax
from pyro_align.guides import GumbelGuide
from pyro_align.inference import (
    EnumeratedELBO,
    GumbelSoftmaxELBO,
    alignment_plates,
    relaxed,
)

BATCH = random_batch((3, 2), (2, 3))
DRAWS, ROWS = 24, 300


def pair(**options):
    model = tiny_model()
    return model, tiny_guide(model, GumbelGuide, **options)


def enumerated(model, guide):
    """Terms of the Categorical that the guide relaxes."""
    return EnumeratedELBO().terms(model, guide.amortized, BATCH)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
def test_gradient_matches_finite_differences_with_common_noise(samples, kl_weight):
    """Finite differences with common random numbers, along random directions."""
    model, guide = pair(temperature=0.8)
    objective = GumbelSoftmaxELBO(samples=samples)
    objective.kl_weight = kl_weight

    def loss():
        pyro.set_rng_seed(11)
        return objective.differentiable_loss(model, guide, BATCH)

    slope = gradient(loss(), model, guide)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        direction = torch.randn(len(slope), generator=generator, dtype=torch.float64)
        values = []
        for sign in (1e-6, -2e-6):
            move(direction * sign, model, guide)
            values.append(loss().item())
        move(direction * 1e-6, model, guide)
        difference = (values[0] - values[1]) / 2e-6
        assert difference == pytest.approx((slope @ direction).item(), rel=1e-4, abs=1e-5)


def move(by, *modules):
    start = 0
    with torch.no_grad():
        for parameter in parameters(*modules):
            parameter += by[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()


@pytest.mark.parametrize("straight_through", [False, True])
def test_kl_is_that_of_the_categoricals(straight_through):
    model, guide = pair(straight_through=straight_through)
    for samples in (1, 3):
        terms = GumbelSoftmaxELBO(samples=samples).terms(model, guide, BATCH)
        torch.testing.assert_close(terms.total_kl, enumerated(model, guide).total_kl)
        torch.testing.assert_close(terms.loss.detach(), terms.total_kl - terms.log_likelihood)


def values(objective, model, guide):
    """Independent estimates of the bound."""
    many = repeated(BATCH, ROWS)
    losses = [objective.loss(model, guide, many) / ROWS for _ in range(DRAWS)]
    return -torch.tensor(losses, dtype=torch.float64).unsqueeze(1)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_straight_through_value_is_unbiased_at_every_temperature(temperature):
    model, guide = pair(straight_through=True, temperature=temperature)
    expected = -enumerated(model, guide).loss.detach()
    assert_unbiased(values(GumbelSoftmaxELBO(), model, guide), expected.reshape(1))


def test_bias_of_the_relaxed_value_vanishes_with_the_temperature():
    model, guide = pair()
    expected = -enumerated(model, guide).loss.detach()
    found = {}
    for temperature in (2.0, 0.001):
        guide.temperature.fill_(temperature)
        found[temperature] = values(GumbelSoftmaxELBO(), model, guide)
    assert mean_error(found[2.0], expected.reshape(1)) > SIGMAS
    assert_unbiased(found[0.001], expected.reshape(1))


class World:
    """Two source positions, a uniform guide, and a likelihood concave in the weights.

    The logits of the token are linear in the weights, so that its log probability is concave.
    """

    def __init__(self, temperature):
        self.table = torch.randn(2, 9, generator=torch.Generator().manual_seed(1)).double() * 2
        self.temperature = temperature
        self.scores = torch.zeros(2, dtype=torch.float64)

    def model(self, batch):
        with alignment_plates(batch):
            prior = dist.Categorical(logits=self.scores)
            z = pyro.sample("alignment", prior)
            logits = z @ self.table if z.is_floating_point() else self.table[z]
            pyro.sample("tokens", dist.Categorical(logits=logits), obs=batch.target)

    def guide(self, batch):
        with alignment_plates(batch):
            pyro.sample("alignment", GumbelSoftmax(self.temperature, self.scores))


def test_relaxed_value_of_a_concave_likelihood_matches_integration():
    """Samples of a uniform guide have mean 1/2, so the value is too high by Jensen's inequality.

    The expected value is an integral over logistic noise, the difference of two Gumbel variables.
    """
    batch, last = random_batch((2, 2), (2, 3)), None
    noise = torch.linspace(-40, 40, 20001, dtype=torch.float64)
    density = noise.sigmoid() * (-noise).sigmoid()
    for temperature in (0.1, 0.5, 2.0):
        world = World(temperature)
        weight = (noise / temperature).sigmoid()
        mixed = torch.stack([weight, 1 - weight], -1) @ world.table
        log_f = mixed.log_softmax(-1)[:, batch.target[batch.target_mask]].sum(-1)
        expected = torch.trapezoid(density * log_f, noise)
        many = repeated(batch, ROWS)
        found = [
            -GumbelSoftmaxELBO().loss(world.model, world.guide, many) / ROWS for _ in range(DRAWS)
        ]
        draws = torch.tensor(found, dtype=torch.float64).unsqueeze(1)
        assert_unbiased(draws, expected.reshape(1))
        tight = world.table.log_softmax(-1)[:, batch.target[batch.target_mask]].sum(-1).mean()
        assert expected > (tight if last is None else last)
        last = expected


@pytest.mark.parametrize("straight_through", [False, True])
def test_stock_svi_accepts_the_relaxed_model(straight_through):
    model, guide = pair(straight_through=straight_through)
    program = relaxed(model, guide.relax)
    optim = pyro.optim.Adam({"lr": 0.05})
    svi = SVI(program, guide, optim, Trace_ELBO(max_plate_nesting=2))
    many = repeated(BATCH, 8)
    losses = [svi.step(many) for _ in range(30)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_straight_through_agrees_with_stock_pyro_in_expectation():
    model, guide = pair(straight_through=True)
    stock = values(Trace_ELBO(max_plate_nesting=2), relaxed(model, guide.relax), guide)
    assert_unbiased(stock, -enumerated(model, guide).loss.detach().reshape(1))


def test_the_step_sets_the_temperature():
    model, guide = pair(temperature=1.0, floor=0.1, half_life=5)
    objective = GumbelSoftmaxELBO()
    objective.loss(model, guide, BATCH)
    assert guide.temperature == 1.0
    objective.step = 10
    objective.loss(model, guide, BATCH)
    assert guide.temperature == 0.25


def test_a_guide_with_pyros_own_relaxation_works():
    """Without padding, which Pyro's relaxation does not support."""
    model, batch = tiny_model(), random_batch((3, 3), (2, 2))
    logits = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    temperature = torch.tensor(0.5, dtype=torch.float64)

    def guide(batch):
        with alignment_plates(batch):
            fn = dist.RelaxedOneHotCategorical(temperature, logits=logits)
            pyro.sample("alignment", fn)

    terms = GumbelSoftmaxELBO(samples=2).terms(model, guide, batch)
    q, p = logits.log_softmax(-1), model.states(batch).scores.log_softmax(-1)
    torch.testing.assert_close(terms.total_kl, (q.exp() * (q - p)).sum().detach())
    (grad,) = torch.autograd.grad(terms.loss, logits)
    assert (grad != 0).all()
