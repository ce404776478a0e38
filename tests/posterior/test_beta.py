"""Beta distribution functions and quantiles against closed forms."""

import math

import numpy as np
import pytest

from pyro_align.posterior.beta import beta_cdf, beta_quantile

PROBABILITIES = (0.025, 0.3, 0.5, 0.975)
PARAMETERS = np.array([0.0067, 0.1, 0.5, 1.0, 2.0, 10.0, 148.0, 29_600.0])


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_quantiles_where_one_parameter_is_one(probability):
    ones = np.ones_like(PARAMETERS)
    first = beta_quantile(probability, PARAMETERS, ones)
    assert first == pytest.approx(probability ** (1 / PARAMETERS), rel=1e-10, abs=1e-14)
    second = beta_quantile(probability, ones, PARAMETERS)
    expected = -np.expm1(np.log1p(-probability) / PARAMETERS)
    assert second == pytest.approx(expected, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_quantiles_of_the_arcsine_distribution(probability):
    half = np.array([0.5])
    expected = math.sin(math.pi * probability / 2) ** 2
    assert beta_quantile(probability, half, half) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (2, 3), (7, 2), (20, 30), (3, 200), (150, 60)])
@pytest.mark.parametrize("x", [0.01, 0.2, 0.5, 0.9])
def test_whole_parameters_are_a_sum_of_binomials(a, b, x):
    """P(Beta(a, b) ≤ x) is that of a or more successes in a + b − 1 trials."""
    n = a + b - 1
    expected = math.fsum(math.comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a, n + 1))
    found = beta_cdf(*(np.array([float(value)]) for value in (x, a, b)))
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-15)


def test_the_quantile_inverts_the_distribution_function():
    a, b = np.meshgrid(PARAMETERS[2:-1], PARAMETERS[2:-1])
    for probability in PROBABILITIES:
        x = beta_quantile(probability, a, b)
        assert beta_cdf(x, a, b) == pytest.approx(np.full(a.shape, probability), abs=1e-6)


def test_a_point_mass():
    found = beta_quantile(0.3, np.array([2.0, 2.0]), np.array([0.0, 1.0]))
    assert found == pytest.approx([1.0, math.sqrt(0.3)])
