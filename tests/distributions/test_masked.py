"""Masking of logits."""

from __future__ import annotations

import pytest
import torch

from pyro_align.distributions import MASKED_LOGIT, mask_logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_masked_position_has_probability_exactly_zero(dtype):
    logits = torch.tensor([[-30.0, 2.0, 30.0], [100.0, -100.0, 7.0]], dtype=dtype)
    mask = torch.tensor([[True, True, False], [False, True, False]])
    probs = mask_logits(logits, mask).softmax(-1)
    assert (probs[~mask] == 0).all()
    for row, keep in zip(range(2), mask, strict=True):
        torch.testing.assert_close(probs[row][keep], logits[row][keep].softmax(-1))


def test_a_mask_is_broadcast_over_target_positions():
    mask = torch.tensor([[True, False], [True, True]]).unsqueeze(1)
    masked = mask_logits(torch.zeros(2, 3, 2), mask)
    assert (masked[0, :, 1] == MASKED_LOGIT).all()
    assert (masked == MASKED_LOGIT).sum() == 3


def test_gradient_of_kl_is_finite_and_zero_on_padding():
    mask = torch.tensor([[True, True, False]])
    q, p = (torch.randn(1, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    divergence = torch.distributions.kl_divergence(
        *(torch.distributions.Categorical(logits=mask_logits(x, mask)) for x in (q, p))
    ).sum()
    short = torch.distributions.kl_divergence(
        *(torch.distributions.Categorical(logits=x[:, :2]) for x in (q, p))
    ).sum()
    torch.testing.assert_close(divergence, short)
    for long, expected in zip(
        torch.autograd.grad(divergence, (q, p)), torch.autograd.grad(short, (q, p)), strict=True
    ):
        torch.testing.assert_close(long, expected)
