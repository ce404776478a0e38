"""Whitening against its definition, and its gradient against that of the moments of a batch."""

import torch

from pyro_align.nn import Whitening
from pyro_align.nn.whitening import MOMENTUM, RIDGE


def vectors(seed=0):
    torch.manual_seed(seed)
    return (torch.randn(40, 3) @ (torch.eye(3) + 0.3 * torch.randn(3, 3)) + torch.randn(3)).double()


def whitened(batch):
    """By the moments of the batch itself."""
    centred = batch - batch.mean(0)
    factor = torch.linalg.cholesky(centred.mT @ centred / len(batch))
    return torch.linalg.solve_triangular(factor, centred.mT, upper=False).mT


def fitted(batch):
    """With the moments of a batch, as after many of them."""
    module = Whitening(3).double()
    module(batch)
    module.rows.fill_(int(1 / RIDGE))
    return module


def test_moments_of_one_batch():
    batch = vectors()
    module = fitted(batch)
    found = module.eval()(batch)
    torch.testing.assert_close(found, whitened(batch), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.mean(0), torch.zeros(3).double())
    torch.testing.assert_close(found.mT @ found / 40, torch.eye(3).double(), atol=1e-3, rtol=0)


def test_gradient_is_that_of_the_moments_of_the_batch():
    batch = vectors().requires_grad_()
    module = fitted(batch.detach())
    readout = vectors(1)
    found, expected = (
        torch.autograd.grad((each(batch) * readout).sum(), batch)[0] for each in (module, whitened)
    )
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_the_mean_square_has_no_gradient():
    """Also if the running moments are others than those of the batch."""
    module = fitted(vectors(2))
    batch = vectors().requires_grad_()
    found = module(batch)
    torch.testing.assert_close(found, module.eval()(batch))
    mean_square, other = found.square().mean(), (found * vectors(1)).mean()
    (none,), (some,) = (
        torch.autograd.grad(each, batch, retain_graph=True) for each in (mean_square, other)
    )
    assert none.norm() < 1e-3 * some.norm()


def test_moments_are_averages_over_batches():
    module = Whitening(3).double()
    first, second = vectors(), vectors(2)
    module(first)
    module(second)
    torch.testing.assert_close(module.mean, (first.mean(0) + second.mean(0)) / 2)
    for _ in range(int(5 / MOMENTUM)):
        module(second)
    torch.testing.assert_close(module.mean, second.mean(0), atol=0.02, rtol=0)
    module.eval()
    before = module.mean.clone()
    module(first)
    assert torch.equal(module.mean, before)


def test_a_few_vectors_have_whitened_ones():
    module = Whitening(3)
    for count in (1, 2, 1):
        found = module(vectors()[:count].float())
        assert found.isfinite().all()
        assert found.abs().max() < 5
