"""Active units, mutual information and reconstruction."""

import math

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from pyro_align.evaluation import Reconstruction, active_units, mutual_information


def gaussians(means, scale):
    means = torch.as_tensor(means).double().reshape(-1, 1, 1)
    return dist.Normal(means, torch.full_like(means, scale)).to_event(1)


def test_active_units():
    means = torch.zeros(100, 3)
    means[:, 1] = torch.linspace(-1, 1, 100)
    means[:50, 2] = 0.15  # variance 0.0057
    assert active_units(means) == 1
    assert active_units(means[:1]) == 0


def test_distinct_posteriors_have_the_largest_information():
    found = mutual_information([gaussians([0.0, 100.0], 1.0), gaussians([200.0], 1.0)])
    assert found.value == pytest.approx(math.log(3))
    assert found.most == pytest.approx(math.log(3))


def test_equal_posteriors_have_none():
    found = mutual_information([gaussians([1.0] * 50, 2.0)])
    assert found.terms == pytest.approx(np.zeros(50))


def test_against_quadrature():
    means, scale = [0.0, 0.8, 2.0], 1.0
    mixture = lambda s: np.mean([norm.pdf(s, mean, scale) for mean in means])  # noqa: E731
    entropy = quad(lambda s: -mixture(s) * math.log(mixture(s)), -12, 14)[0]
    exact = entropy - norm.entropy(0, scale)
    found = mutual_information([gaussians(means * 1000, scale)])
    error = found.terms.std() / len(found.terms) ** 0.5
    assert abs(found.value - exact) < 5 * error  # false alarm below 1e-6
    low, high = found.interval()
    assert low < found.value < high
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_the_random_state_is_unchanged():
    before = torch.get_rng_state()
    first = mutual_information([gaussians([0.0, 1.0], 1.0)])
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(mutual_information([gaussians([0.0, 1.0], 1.0)]).terms, first.terms)


def test_reconstruction():
    found = Reconstruction.of(["a cat sees a dog", "b"], ["a cat sees a dog", "c"])
    assert found.exact_match == 50
    assert 0 < found.bleu < 100
