"""KL divergence of categoricals, against PyTorch's and where that is not finite."""

from __future__ import annotations

import math

import pyro.distributions as dist
import pytest
import torch
from torch.distributions import kl_divergence as torch_kl_divergence

from pyro_align.distributions import categorical_kl, kl_divergence, mask_logits


def test_equals_pytorch_for_positive_probabilities():
    q, p = (dist.Categorical(logits=torch.randn(3, 4, 5).double()) for _ in range(2))
    torch.testing.assert_close(kl_divergence(q, p), torch_kl_divergence(q, p))
    moved = categorical_kl(q.logits.movedim(-1, 0), p.logits.movedim(-1, 0), dim=0)
    torch.testing.assert_close(moved, torch_kl_divergence(q, p))


def test_other_distributions_use_pytorch():
    q, p = dist.Normal(0.0, 1.0), dist.Normal(1.0, 2.0)
    assert kl_divergence(q, p) == torch_kl_divergence(q, p)
    with pytest.raises(NotImplementedError):
        kl_divergence(q, dist.StudentT(3.0))


def test_kl_is_finite_if_the_prior_underflows():
    p = dist.Categorical(logits=torch.tensor([0.0, -500.0]))
    q = dist.Categorical(logits=torch.zeros(2))
    assert p.probs[1] == 0
    assert torch_kl_divergence(q, p).isinf()
    # Half of the mass at a position of log probability −500, both at log q = −log 2.
    assert kl_divergence(q, p).item() == pytest.approx(250 - math.log(2))


@pytest.mark.parametrize("masked", ["large", "infinite"])
def test_masked_positions_contribute_nothing(masked):
    mask = torch.tensor([True, True, False])

    def masking(logits):
        return (
            mask_logits(logits, mask)
            if masked == "large"
            else logits.masked_fill(~mask, -torch.inf)
        )

    ours, theirs = (torch.randn(3).double().requires_grad_() for _ in range(2))
    q, p = (dist.Categorical(logits=masking(each)) for each in (ours, theirs))
    found = kl_divergence(q, p)
    expected = torch_kl_divergence(*(dist.Categorical(logits=each[:2]) for each in (ours, theirs)))
    torch.testing.assert_close(found, expected)
    for each in (ours, theirs):
        (grad,) = torch.autograd.grad(found, each, retain_graph=True)
        (wanted,) = torch.autograd.grad(expected, each, retain_graph=True)
        torch.testing.assert_close(grad, wanted)


def test_kl_is_infinite_if_the_prior_is_zero():
    log_q, log_p = torch.tensor([0.5, 0.5]).log(), torch.tensor([1.0, 0.0]).log()
    assert categorical_kl(log_q, log_p).isinf()
    assert categorical_kl(log_p, log_q).item() == pytest.approx(math.log(2))
