"""Gumbel-softmax distributions against PyTorch's and numerical integration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import assert_unbiased
from torch.distributions import RelaxedOneHotCategorical
from torch.testing import assert_close

from pyro_align.distributions import (
    GumbelSoftmax,
    StraightThroughGumbelSoftmax,
    mask_logits,
)

LOGITS = torch.tensor([[0.3, -1.0, 2.0], [1.0, 0.5, -0.5]], dtype=torch.float64)


def padded(logits=LOGITS):
    """The same with a padded category at the end."""
    wide = torch.cat([logits, torch.full_like(logits[:, :1], 3.0)], -1)
    return mask_logits(wide, torch.tensor([True, True, True, False]))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_density_equals_pytorch_without_the_padding(temperature):
    theirs = RelaxedOneHotCategorical(torch.tensor(temperature, dtype=torch.float64), logits=LOGITS)
    value = theirs.sample((5,))
    expected = theirs.log_prob(value)
    assert_close(GumbelSoftmax(temperature, LOGITS).log_prob(value), expected)
    wide = torch.cat([value, torch.zeros_like(value[..., :1])], -1)
    assert_close(GumbelSoftmax(temperature, padded()).log_prob(wide), expected)


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_density_integrates_to_one_and_matches_the_samples(temperature):
    """For two categories, by Gauss–Legendre quadrature on the logit of the first."""
    nodes, weights = (torch.as_tensor(a) for a in np.polynomial.legendre.leggauss(300))
    nodes, weights = 40 * nodes, 40 * weights
    value = torch.stack([nodes, torch.zeros_like(nodes)], -1).log_softmax(-1)
    mask = torch.tensor([True, True, False])
    logits = mask_logits(torch.tensor([0.8, -0.3, 1.0], dtype=torch.float64), mask)
    fn = GumbelSoftmax(temperature, logits)
    wide = torch.cat([value.exp(), torch.zeros_like(value[:, :1])], -1)
    density = (fn.log_prob(wide) + value.sum(-1)).exp() * weights
    assert density.sum().item() == pytest.approx(1.0, abs=1e-7)
    drawn = fn.sample((24, 4000))
    for power in (1, 2):
        expected = (density * value[:, 0].exp() ** power).sum()
        assert_unbiased((drawn[..., :1] ** power).mean(1), expected.reshape(1))


@pytest.mark.parametrize("kind", [GumbelSoftmax, StraightThroughGumbelSoftmax])
def test_samples_are_on_the_simplex_and_zero_on_padding(kind):
    value = kind(0.7, padded()).rsample((100,))
    assert (value[..., 3] == 0).all()
    assert_close(value.sum(-1), torch.ones(100, 2, dtype=torch.float64))
    leaf = padded().requires_grad_()
    fn = kind(0.7, leaf)
    value = fn.rsample((100,))
    (grad,) = torch.autograd.grad((value[..., 0] + fn.log_prob(value.detach())).sum(), leaf)
    assert (grad[:, 3] == 0).all()
    assert (grad[:, :3] != 0).all()
    assert torch.isfinite(grad).all()


def test_infinite_logits_are_excluded():
    logits = torch.tensor([0.0, 1.0, -torch.inf])
    for kind in (GumbelSoftmax, StraightThroughGumbelSoftmax):
        fn = kind(0.5, logits)
        value = fn.rsample((50,))
        assert (value[:, 2] == 0).all()
        assert torch.isfinite(fn.log_prob(value)).all()


@pytest.mark.parametrize("temperature", [0.05, 1.0, 5.0])
def test_straight_through_samples_follow_the_categorical(temperature):
    """The argmax of the noisy logits is a sample of the Categorical at every temperature."""
    fn = StraightThroughGumbelSoftmax(temperature, LOGITS)
    value = fn.sample((24, 4000))
    assert ((value == 0) | (value == 1)).all()
    assert_unbiased(value.mean(1).reshape(24, -1), LOGITS.softmax(-1).reshape(-1))
    expected = LOGITS.log_softmax(-1)
    chosen = value.argmax(-1, keepdim=True)
    assert_close(fn.log_prob(value), expected.expand_as(value).gather(-1, chosen).squeeze(-1))


def test_relaxed_samples_tend_to_one_hot_samples():
    value = GumbelSoftmax(0.001, LOGITS).sample((24, 4000))
    assert (value.max(-1).values > 0.99).double().mean() > 0.98
    nearest = torch.nn.functional.one_hot(value.argmax(-1), 3).double()
    assert_unbiased(nearest.mean(1).reshape(24, -1), LOGITS.softmax(-1).reshape(-1))


def test_gradient_matches_finite_differences_with_common_noise():
    """Straight-through samples have the gradient of the relaxed samples."""
    leaf = LOGITS.clone().requires_grad_()
    slopes = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    def value(logits, kind=GumbelSoftmax):
        torch.manual_seed(5)
        return (kind(0.7, logits).rsample((7,)) @ slopes).sum()

    (grad,) = torch.autograd.grad(value(leaf), leaf)
    (through,) = torch.autograd.grad(value(leaf, StraightThroughGumbelSoftmax), leaf)
    assert_close(through, grad)
    for i in range(2):
        for j in range(3):
            shift = torch.zeros_like(LOGITS)
            shift[i, j] = 1e-5
            slope = (value(LOGITS + shift) - value(LOGITS - shift)) / 2e-5
            assert_close(grad[i, j], slope, rtol=1e-6, atol=1e-8)


def test_expand_keeps_class_and_temperature():
    wide = StraightThroughGumbelSoftmax(0.4, LOGITS).expand((5, 2))
    assert isinstance(wide, StraightThroughGumbelSoftmax)
    assert wide.temperature == 0.4
    assert wide.rsample((3,)).shape == (3, 5, 2, 3)
    assert wide.log_prob(wide.sample()).shape == (5, 2)
    assert_close(wide.probs[4], LOGITS.softmax(-1))
