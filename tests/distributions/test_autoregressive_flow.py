"""Inverse autoregressive flows, against the Jacobian that autograd computes."""

import pyro.distributions as dist
import pytest
import torch

from pyro_align.distributions import AutoregressiveFlow

SIZE, ROWS = 3, 2


@pytest.fixture
def flow():
    torch.manual_seed(1)
    flow = AutoregressiveFlow(SIZE, 4, 2, 5).double()
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return flow


@pytest.fixture
def context():
    return torch.randn(ROWS, 1, 4, dtype=torch.float64, requires_grad=True)


def normal():
    zeros = torch.zeros(ROWS, 1, SIZE, dtype=torch.float64)
    return dist.Normal(zeros + 0.3, zeros + 0.8).to_event(1)


def transformed(flow, context, noise):
    """The flow of one row, written out."""
    for layer in flow.layers:
        noise = layer.condition(context)(noise)
    return noise


def log_density(flow, context, noise):
    """By the change of variables, with the Jacobian of autograd."""
    found = []
    for row in range(ROWS):
        jacobian = torch.autograd.functional.jacobian(
            lambda x, row=row: transformed(flow, context[row, 0], x),
            noise[row, 0],
            create_graph=True,
        )
        base = dist.Normal(0.3, 0.8).log_prob(noise[row, 0]).sum()
        found.append(base - jacobian.det().abs().log())
    return torch.stack(found).unsqueeze(1)


def test_density_and_its_gradient_are_those_of_the_change_of_variables(flow, context):
    noise = normal().sample()
    given = flow.transform(normal(), context)
    value = transformed(flow, context, noise)
    # A copy of the value: the transforms have to be inverted.
    found = given.log_prob(value.clone())
    expected = log_density(flow, context, noise)
    torch.testing.assert_close(found, expected)
    inputs = [context, *flow.parameters()]
    ours, theirs = (torch.autograd.grad(each.sum(), inputs) for each in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_a_sample_has_the_same_density_with_and_without_inversion(flow, context):
    given = flow.transform(normal(), context)
    sample = given.rsample()
    torch.testing.assert_close(given.log_prob(sample), given.log_prob(sample.detach().clone()))
    assert given.has_rsample
    assert sample.requires_grad
    assert not given.sample().requires_grad


def test_values_are_broadcast_to_the_batch(flow, context):
    given = flow.transform(normal(), context)
    values = torch.randn(4, 1, SIZE, dtype=torch.float64)
    found = given.log_prob(values.unsqueeze(1))
    assert found.shape == (4, ROWS, 1)
    alone = flow.transform(normal(), context).log_prob(values[2].expand(ROWS, 1, SIZE))
    torch.testing.assert_close(found[2], alone)


def test_the_density_integrates_to_one():
    torch.manual_seed(2)
    flow = AutoregressiveFlow(2, 1, 2, 4).double()
    start = dist.Normal(torch.zeros(2, dtype=torch.float64), 1.0).to_event(1)
    given = flow.transform(start, torch.ones(1, dtype=torch.float64))
    axis = torch.linspace(-7, 7, 141, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        assert given.log_prob(points).exp().sum() * 0.1**2 == pytest.approx(1, abs=1e-3)


def test_moments_are_estimated_and_leave_the_random_state(flow, context):
    given = flow.transform(normal(), context)
    state = torch.get_rng_state()
    mean, variance = given.mean, given.variance
    assert torch.equal(given.mean, mean)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        many = given.sample(torch.Size((20_000,)))
    # Six standard errors of 200 samples, whose fourth moments are near those of Gaussians.
    assert ((mean - many.mean(0)).abs() < 6 * (variance / 200).sqrt()).all()
    assert ((variance - many.var(0)).abs() < 6 * variance * (4 / 200) ** 0.5).all()
