"""Distributions on the sphere: density, moments, divergence and gradients."""

import math

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from scipy import integrate, special, stats
from support import assert_unbiased
from torch.distributions import kl_divergence

from pyro_align.distributions import SphereUniform, VonMisesFisher

SIZES = [3, 4, 10]


def direction(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(size, generator=generator, dtype=torch.float64)
    return vector / vector.norm()


def vmf(size, concentration=5.0):
    return VonMisesFisher(direction(size), torch.tensor(concentration, dtype=torch.float64))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("concentration", [0.1, 5.0, 200.0])
def test_density(size, concentration):
    found = vmf(size, concentration)
    reference = stats.vonmises_fisher(direction(size).numpy(), concentration)
    points = SphereUniform(torch.zeros(size).double()).sample((20,))
    expected = reference.logpdf(points.numpy())
    torch.testing.assert_close(found.log_prob(points), torch.as_tensor(expected))


def test_density_is_that_of_pyro_in_three_dimensions():
    found = vmf(3, 4.0)
    points = SphereUniform(torch.zeros(3).double()).sample((20,))
    area = 2 * math.pi ** (3 / 2) / math.gamma(3 / 2)
    uniform = SphereUniform(torch.zeros(3).double()).log_prob(points)
    torch.testing.assert_close(uniform, torch.full((20,), -math.log(area)).double())
    assert isinstance(found.support, type(dist.constraints.sphere))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("concentration", [0.5, 20.0])
def test_moments_of_samples(size, concentration):
    found = vmf(size, concentration)
    samples = found.sample((20_000,))
    torch.testing.assert_close(samples.norm(dim=1), torch.ones(20_000).double())
    parts = samples.reshape(50, 400, size)
    assert_unbiased(parts.mean(1), found.mean)
    assert_unbiased(parts.var(1, unbiased=True), found.variance)


@pytest.mark.parametrize("size", SIZES)
def test_cosines_have_their_distribution(size):
    concentration = 3.0
    cosines = (vmf(size, concentration).sample((4000,)) @ direction(size)).numpy()

    def density(t):
        return np.exp(concentration * t) * (1 - t**2) ** ((size - 3) / 2)

    whole = integrate.quad(density, -1, 1)[0]
    grid = np.linspace(-1, 1, 400)
    values = [integrate.quad(density, -1, end)[0] / whole for end in grid]
    assert stats.kstest(cosines, lambda t: np.interp(t, grid, values)).pvalue > 1e-5


@pytest.mark.parametrize("size", SIZES)
def test_divergence_from_the_uniform(size):
    found = vmf(size, 6.0)
    uniform = SphereUniform(torch.zeros(size).double())
    divergence = kl_divergence(found, uniform)
    samples = found.sample((24, 4000))
    estimates = (found.log_prob(samples) - uniform.log_prob(samples)).mean(1, keepdim=True)
    assert_unbiased(estimates, divergence.reshape(1))
    small = kl_divergence(vmf(size, 1e-3), uniform)
    assert abs(small) < 1e-6  # close to 0, where the difference of large terms is rounded


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["resultant", "log_normaliser"])
def test_derivatives_of_the_normaliser(size, name):
    concentration = torch.tensor([0.3, 7.0, 90.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda value: getattr(VonMisesFisher(direction(size), value), name), concentration
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("concentration", [0.5, 8.0, 100.0])
def test_the_pathwise_gradient_is_unbiased(size, concentration):
    # E[w²] = 1 − (d − 1) E[w] / κ, whose derivative is known.
    value = torch.tensor(concentration, dtype=torch.float64)

    def second_moment(kappa):
        order = size / 2 - 1
        ratio = special.ive(order + 1, kappa) / special.ive(order, kappa)
        return 1 - (size - 1) * ratio / kappa

    step = 1e-4 * concentration
    exact = (second_moment(concentration + step) - second_moment(concentration - step)) / (2 * step)
    draws = []
    for _ in range(24):
        leaf = value.clone().requires_grad_()
        samples = VonMisesFisher(direction(size), leaf).rsample((1000,))
        ((samples @ direction(size)) ** 2).mean().backward()
        draws.append(leaf.grad.reshape(1))
    assert_unbiased(torch.stack(draws), torch.tensor([exact]))


def test_the_gradient_of_the_direction():
    # E[x] = A(κ) μ for every unit vector μ, so tangential derivatives of E[a · x] are A(κ) a.
    size, towards = 5, direction(5, seed=3)
    draws = []
    for _ in range(24):
        raw = (2 * direction(size)).requires_grad_()
        found = VonMisesFisher(raw / raw.norm(), torch.tensor(4.0).double())
        (found.rsample((2000,)) @ towards).mean().backward()
        draws.append(raw.grad)
    mean = direction(size)
    tangent = towards - (towards @ mean) * mean
    assert_unbiased(torch.stack(draws), found.resultant * tangent / 2)


def test_shapes():
    found = VonMisesFisher(direction(4), torch.tensor([1.0, 2.0]).double())
    assert (found.batch_shape, found.event_shape) == ((2,), (4,))
    wide = found.expand((3, 2))
    assert wide.rsample((5,)).shape == (5, 3, 2, 4)
    assert wide.log_prob(wide.sample()).shape == (3, 2)
    uniform = SphereUniform(torch.zeros(2, 4)).expand((3, 2))
    assert uniform.sample((5,)).shape == (5, 3, 2, 4)
    assert uniform.log_prob(uniform.sample()).shape == (3, 2)
    with pytest.raises(ValueError, match="3 dimensions or more, got 2"):
        VonMisesFisher(direction(2), torch.tensor(1.0))
