"""The padded Dirichlet against PyTorch's and numerical integration."""

from __future__ import annotations

import math

import pytest
import torch
from support import assert_unbiased
from torch.distributions import Dirichlet, kl_divergence
from torch.testing import assert_close

from pyro_align.distributions import PaddedDirichlet, concentrations

INSIDE = torch.tensor(
    [[True, True, True, True], [True, False, True, False], [False, True, True, True]]
)
ALPHA = torch.tensor(
    [[0.3, 2.0, 5.0, 0.9], [4.0, 7.0, 0.6, 3.0], [9.0, 1.5, 1.0, 0.2]], dtype=torch.float64
)
BETA = ALPHA.flip(0).flip(1) + 0.1


def rows(alpha=ALPHA):
    """PyTorch's Dirichlet over the unpadded coordinates of every row."""
    return [Dirichlet(row[here]) for row, here in zip(alpha, INSIDE, strict=True)]


def simplex(size, points=40):
    """Points and log weights that integrate over the simplex of 2 or 3 coordinates.

    Gauss–Legendre on logits, the Jacobian of the softmax in the weights: densities that are
    infinite at the border cause no problems.
    """
    nodes, weights = (torch.as_tensor(a) for a in _legendre(points * 5, 30.0))
    if size == 2:
        logits = torch.stack([nodes, torch.zeros_like(nodes)], -1)
        log_weights = weights.log()
    else:
        grid = torch.meshgrid(nodes, nodes, indexing="ij")
        logits = torch.stack([*grid, torch.zeros_like(grid[0])], -1).reshape(-1, 3)
        log_weights = (weights.unsqueeze(1) * weights).log().reshape(-1)
    value = logits.log_softmax(-1)
    return value.exp(), log_weights + value.sum(-1)


def _legendre(points, limit):
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(points)
    return nodes * limit, weights * limit


CASES = {
    2: ([1.3, 0.8], [0.7, 2.0]),
    3: ([1.3, 0.8, 2.0], [0.9, 1.4, 3.0]),
}


def padded_pair(size):
    """Two distributions with ``size`` coordinates after a padded one, and their parameters."""
    leaves = [
        torch.tensor([7.0, *values], dtype=torch.float64, requires_grad=True)
        for values in CASES[size]
    ]
    inside = torch.tensor([False] + [True] * size)
    return [PaddedDirichlet(leaf, inside) for leaf in leaves], leaves


def put(value):
    """Points of the smaller simplex with a zero in front."""
    return torch.cat([torch.zeros_like(value[..., :1]), value], -1)


@pytest.mark.parametrize("size", [2, 3])
def test_density_divergence_and_entropy_by_integration(size):
    (p, q), leaves = padded_pair(size)
    points, log_weights = simplex(size)
    log_p, log_q = p.log_prob(put(points)), q.log_prob(put(points))
    weighted = (log_p + log_weights).exp()
    assert weighted.sum().item() == pytest.approx(1.0, abs=1e-8)
    assert (log_q + log_weights).exp().sum().item() == pytest.approx(1.0, abs=1e-8)
    integral = (weighted * (log_p - log_q)).sum()
    assert_close(kl_divergence(p, q), integral, rtol=1e-7, atol=0)
    assert_close(p.entropy(), -(weighted * log_p).sum(), rtol=1e-6, atol=0)
    assert_close(p.mean, put((weighted.unsqueeze(-1) * points).sum(0)))
    for value in (kl_divergence(p, q), p.entropy()):
        assert value.shape == ()
    grads = torch.autograd.grad(kl_divergence(p, q), leaves, retain_graph=True)
    expected = torch.autograd.grad(integral, leaves)
    assert_close(grads, expected, rtol=1e-6, atol=1e-9)
    assert all(grad[0] == 0 for grad in grads)


@pytest.mark.parametrize("size", [2, 3])
def test_pathwise_gradients_by_integration(size):
    """The mean of ``∇ g(z)`` over samples is ``∇ ∫ p g``, for a nonlinear ``g``."""
    (p, _), (leaf, _) = padded_pair(size)
    slopes = torch.tensor([3.0, -1.0, 2.0, 0.5], dtype=torch.float64)[: size + 1]

    def g(value):
        return torch.tanh(2 * value @ slopes) + value[..., -1] ** 2

    points, log_weights = simplex(size)
    integral = ((p.log_prob(put(points)) + log_weights).exp() * g(put(points))).sum()
    (expected,) = torch.autograd.grad(integral, leaf)
    many = leaf.detach().expand(24, 4000, size + 1).clone().requires_grad_()
    value = PaddedDirichlet(many, p.inside).rsample()
    (grads,) = torch.autograd.grad(g(value).sum(), many)
    assert_unbiased(grads.mean(1), expected)
    means = g(value.detach()).mean(1, keepdim=True)
    assert_unbiased(means, integral.detach().reshape(1))


def test_equals_pytorch_on_the_unpadded_coordinates():
    ours, theirs = PaddedDirichlet(ALPHA, INSIDE), rows()
    value = ours.rsample()
    assert (value[~INSIDE] == 0).all()
    assert_close(value.sum(-1), torch.ones(3, dtype=torch.float64))
    other = PaddedDirichlet(BETA, INSIDE)
    for i, dirichlet in enumerate(theirs):
        here = INSIDE[i]
        assert_close(ours.log_prob(value)[i], dirichlet.log_prob(value[i, here]))
        assert_close(ours.entropy()[i], dirichlet.entropy())
        assert_close(ours.mean[i, here], dirichlet.mean)
        assert_close(kl_divergence(ours, other)[i], kl_divergence(dirichlet, rows(BETA)[i]))


def test_samples_have_the_moments_of_the_dirichlet():
    ours = PaddedDirichlet(ALPHA, INSIDE)
    value = ours.sample((24, 4000))
    assert value.shape == (24, 4000, 3, 4)
    second = (value.unsqueeze(-1) * value.unsqueeze(-2)).mean(1).reshape(24, -1)
    total = ours.total[:, None, None]
    alpha = ALPHA.where(INSIDE, 0.0)
    outer = alpha.unsqueeze(-1) * alpha.unsqueeze(-2) + torch.diag_embed(alpha)
    assert_unbiased(second, (outer / (total * (total + 1))).reshape(-1))
    assert_unbiased(value.mean(1).reshape(24, -1), ours.mean.reshape(-1))


def test_samples_of_small_concentrations_have_the_right_moments():
    """Gamma samples would underflow."""
    alpha = torch.full((3,), 0.007)
    value = PaddedDirichlet(alpha, torch.tensor([True, True, True])).sample((24, 4000))
    assert torch.isfinite(value).all()
    assert_unbiased(value.mean(1), torch.full((3,), 1 / 3))
    expected = (0.007**2 + 0.007) / (0.021 * 1.021)
    assert_unbiased((value**2).mean(1), torch.full((3,), expected))


@pytest.mark.parametrize("stranger", [math.nan, math.inf, -3.0, 0.0, 1e30])
def test_parameters_on_padding_are_ignored(stranger):
    leaves = [each.clone().requires_grad_() for each in (ALPHA, BETA)]
    spoilt = [
        each.masked_fill(~INSIDE, stranger).clone().detach().requires_grad_()
        for each in (ALPHA, BETA)
    ]
    results = []
    for p, q in (leaves, spoilt):
        first, second = PaddedDirichlet(p, INSIDE), PaddedDirichlet(q, INSIDE)
        torch.manual_seed(3)
        value = first.rsample()
        total = (
            (value**2).sum()
            + second.log_prob(value).sum()
            + first.entropy().sum()
            + kl_divergence(first, second).sum()
            + first.mean.pow(3).sum()
        )
        results.append((total, *torch.autograd.grad(total, (p, q))))
    assert_close(results[1], results[0])
    assert all((grad[~INSIDE] == 0).all() for grad in results[1][1:])
    assert all((grad[INSIDE] != 0).all() for grad in results[1][1:])


@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
def test_one_coordinate_is_a_point_mass(alpha):
    inside = torch.tensor([False, True, False])
    leaf = torch.full((3,), alpha, dtype=torch.float64, requires_grad=True)
    point = PaddedDirichlet(leaf, inside)
    value = point.rsample()
    assert value.tolist() == [0.0, 1.0, 0.0]
    other = PaddedDirichlet(torch.ones(3, dtype=torch.float64), inside)
    for number in (point.log_prob(value), point.entropy(), kl_divergence(point, other)):
        assert number.item() == pytest.approx(0.0, abs=1e-12)
    total = value.pow(2).sum() + point.entropy() + kl_divergence(point, other)
    (grad,) = torch.autograd.grad(total + point.log_prob(value), leaf)
    assert_close(grad, torch.zeros_like(grad))


def test_extreme_scores_leave_everything_finite_in_fp32():
    generator = torch.Generator().manual_seed(0)
    scores = (torch.randn(2000, 6, generator=generator) * 1000).requires_grad_()
    inside = torch.rand(2000, 6, generator=generator) < 0.6
    inside[:, 0] = True
    p = PaddedDirichlet(concentrations(scores), inside)
    q = PaddedDirichlet(concentrations(scores.flip(0)), inside)
    value = p.rsample()
    total = (
        value.pow(2).sum()
        + p.log_prob(value).sum()
        + q.log_prob(value).sum()
        + kl_divergence(p, q).sum()
        + p.entropy().sum()
    )
    assert torch.isfinite(total)
    (grad,) = torch.autograd.grad(total, scores)
    assert torch.isfinite(grad).all()
    assert (kl_divergence(p, q) > -1e-3).all()


def test_expansion_and_shapes():
    wide = PaddedDirichlet(ALPHA, INSIDE[:1]).expand((5, 3))
    assert wide.batch_shape == (5, 3)
    assert wide.event_shape == (4,)
    assert wide.rsample((2,)).shape == (2, 5, 3, 4)
    assert wide.log_prob(wide.sample()).shape == (5, 3)
    assert torch.equal(wide.inside[4, 2], INSIDE[0])


def test_invalid_concentrations_are_rejected():
    with pytest.raises(ValueError, match="concentration"):
        PaddedDirichlet(torch.tensor([1.0, -1.0]), torch.tensor([True, True]), validate_args=True)


def test_concentrations_are_bounded_with_a_nonzero_gradient():
    scores = torch.linspace(-12, 12, 49, dtype=torch.float64).requires_grad_()
    values = concentrations(scores)
    assert (values.diff() > 0).all()
    assert math.exp(-5) < values.min() < values.max() < math.exp(5)
    assert values[24] == 1
    (grad,) = torch.autograd.grad(values.log().sum(), scores)
    assert (grad > 0).all()
    assert grad[24] == 1
