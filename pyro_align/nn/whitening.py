"""Whitening of vectors by their running mean and covariance."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

MOMENTUM = 0.03
"""Weight of a batch in the running moments, after as many batches as its inverse. They have to
follow an encoder that is trained."""

RIDGE = 1e-5
"""Smallest multiple of the mean variance that is added to the variances. After ``n`` vectors it is
``1 / n``, since the covariance of a few vectors has no inverse."""


class Whitening(nn.Module):
    """Map vectors to mean zero and covariance one.

    Mean and covariance are averages over the batches of training, so that what a batch has in
    common is kept: sentences of a batch are of similar length. The gradient is that of batch
    normalization with a correction that is constant (Ioffe 2017): a function of the moments of the
    outputs alone, such as their mean square, has no gradient.

    Args:
        size: size of a vector.
    """

    mean: Tensor
    covariance: Tensor
    batches: Tensor
    rows: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("covariance", torch.eye(size))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))
        self.register_buffer("rows", torch.zeros((), dtype=torch.long))

    def forward(self, vectors: Float[Tensor, "row size"]) -> Float[Tensor, "row size"]:
        """Return ``L⁻¹ (v − m)`` with the running mean ``m`` and covariance ``L Lᵀ``.

        In training mode the running moments are updated first.
        """
        if not self.training:
            return _divided(self._factor(self.covariance), vectors - self.mean)
        mean = vectors.mean(0)
        centred = vectors - mean
        covariance = (centred.unsqueeze(-1) * centred.unsqueeze(-2)).mean(0)
        self.rows += len(vectors)
        self._update(mean.detach(), covariance.detach())
        factor = self._factor(covariance)
        of_batch = _divided(factor, centred)
        running = self._factor(self.covariance)
        scale = torch.linalg.solve_triangular(running, factor.detach(), upper=False)
        shift = _divided(running, (mean.detach() - self.mean).unsqueeze(0))
        # Not a matrix product, which autocast would compute in bf16.
        return (scale * of_batch.unsqueeze(1)).sum(-1) + shift

    def _update(self, mean: Float[Tensor, " size"], covariance: Float[Tensor, "size size"]) -> None:
        """Update the running moments with those of a batch."""
        self.batches += 1
        weight = (1 / self.batches).clamp_min(MOMENTUM).to(self.mean)
        self.mean.lerp_(mean.to(self.mean), weight)
        between = mean.to(self.mean) - self.mean
        self.covariance.lerp_(covariance + torch.outer(between, between), weight)

    def _factor(self, covariance: Float[Tensor, "size size"]) -> Float[Tensor, "size size"]:
        """Return the Cholesky factor of a covariance with a ridge."""
        share = (1 / self.rows.clamp_min(1)).clamp_min(RIDGE).to(covariance)
        ridge = share * covariance.diagonal().mean() + torch.finfo(covariance.dtype).tiny
        return torch.linalg.cholesky(covariance + ridge * torch.eye(len(covariance)).to(covariance))


def _divided(
    factor: Float[Tensor, "size size"], vectors: Float[Tensor, "row size"]
) -> Float[Tensor, "row size"]:
    """Return ``L⁻¹ v`` of every row."""
    return torch.linalg.solve_triangular(factor, vectors.mT, upper=False).mT
