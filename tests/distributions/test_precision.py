"""Widening of half precision."""

from __future__ import annotations

import pytest
import torch

from pyro_align.distributions import at_least_fp32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_widened(dtype):
    half = torch.tensor([1.5, -3.0], dtype=dtype, requires_grad=True)
    wide = at_least_fp32(half)
    assert wide.dtype == torch.float32
    assert wide.tolist() == [1.5, -3.0]
    wide.sum().backward()
    assert half.grad.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wider_types_are_returned_unchanged(dtype):
    tensor = torch.zeros(2, dtype=dtype)
    assert at_least_fp32(tensor) is tensor
