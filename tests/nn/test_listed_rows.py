"""Inner products with rows of a weight against indexing."""

from __future__ import annotations

import pytest
import torch

from pyro_align.nn.listed_rows import products_with_rows


@pytest.mark.parametrize(("shape", "size"), [((), 3), ((4,), 3), ((2, 4), 5)])
def test_products_and_gradients(shape, size):
    torch.manual_seed(0)
    features = torch.randn(*shape, size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    rows = torch.randint(6, (*shape, 7))  # some more than once
    found = products_with_rows(features, weight, rows)
    expected = (weight[rows][..., :size] * features.unsqueeze(-2)).sum(-1)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    grads = [
        torch.autograd.grad((each * weights).sum(), (features, weight))
        for each in (found, expected)
    ]
    torch.testing.assert_close(*grads)


def test_half_precision_is_computed_in_that_of_the_weight():
    features = torch.randn(3, 4).bfloat16().requires_grad_()
    weight = torch.randn(6, 4, requires_grad=True)
    rows = torch.randint(6, (3, 2))
    with torch.autocast("cpu", torch.bfloat16):
        found = products_with_rows(features, weight, rows)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, (weight[rows] @ features.float().unsqueeze(-1)).squeeze(-1))
    found.sum().backward()
    assert features.grad.dtype == torch.bfloat16
    assert weight.grad.dtype == torch.float32
