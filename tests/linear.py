"""A linear model with Gaussian noise, whose evidence and posterior are known in closed form."""

from __future__ import annotations

from typing import ClassVar

import pyro
import pyro.distributions as dist
import torch
from torch import nn

from pyro_align.data import VectorBatch
from pyro_align.inference import sentence_plate
from pyro_align.inference.program import Program

LATENT, OBSERVED = 2, 3
BATCH = VectorBatch.of(
    torch.randn(4, OBSERVED, generator=torch.Generator().manual_seed(5)).double()
)


class LinearModel(Program):
    """``z ~ N(0, I)``, ``x ~ N(W z + b, σ² I)``."""

    latents: ClassVar = {"code": "gaussian"}

    def __init__(self, seed=0, latent=LATENT, observed=OBSERVED):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(observed, latent, generator=generator).double())
        self.bias = nn.Parameter(torch.randn(observed, generator=generator).double())
        self.log_scale = nn.Parameter(torch.tensor(-0.3).double())

    def forward(self, batch):
        zeros = self.weight.new_zeros(len(batch), 1, self.weight.shape[1])
        with sentence_plate(batch):
            code = pyro.sample("code", dist.Normal(zeros, 1.0).to_event(1))
            mean = code @ self.weight.T + self.bias
            noise = dist.Normal(mean, self.log_scale.exp()).to_event(1)
            pyro.sample("vectors", noise, obs=batch.vectors.unsqueeze(1))

    def evidence(self, vectors):
        """``log p(x)`` of every row."""
        covariance = self.weight @ self.weight.T
        noise = (2 * self.log_scale).exp() * torch.eye(len(covariance)).to(covariance)
        normal = torch.distributions.MultivariateNormal(self.bias, covariance + noise)
        return normal.log_prob(vectors)

    def posterior(self, vectors):
        """``p(z | x)`` of every row."""
        variance = (2 * self.log_scale).exp()
        identity = torch.eye(self.weight.shape[1]).to(self.weight)
        precision = identity + self.weight.T @ self.weight / variance
        mean = torch.linalg.solve(precision, self.weight.T @ (vectors - self.bias).T / variance).T
        return dist.MultivariateNormal(mean, precision_matrix=precision)


class LinearGuide(Program):
    """``q(z | x) = N(A x + a, diag)``."""

    latents: ClassVar = {"code": "gaussian"}

    def __init__(self, seed=1, latent=LATENT, observed=OBSERVED):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(latent, observed, generator=generator).double())
        self.bias = nn.Parameter(torch.randn(latent, generator=generator).double())
        self.log_scale = nn.Parameter(torch.randn(latent, generator=generator).double() / 4)

    @classmethod
    def near(cls, model):
        """A guide about as wide as the posterior, and somewhat off."""
        guide = cls(0, *reversed(model.weight.shape))
        posterior = model.posterior(torch.eye(model.weight.shape[0]).double())
        origin = model.posterior(torch.zeros(1, model.weight.shape[0]).double())
        with torch.no_grad():
            guide.weight.copy_((posterior.loc - origin.loc).T + 0.05)
            guide.bias.copy_(origin.loc[0] + 0.1)
            guide.log_scale.copy_(origin.variance[0].log() / 2 + 0.1)
        return guide

    def normal(self, vectors):
        """``q(z | x)`` of every row."""
        return dist.Normal(vectors @ self.weight.T + self.bias, self.log_scale.exp()).to_event(1)

    def forward(self, batch):
        with sentence_plate(batch):
            pyro.sample("code", self.normal(batch.vectors.unsqueeze(1)))


class ExactPosterior(Program):
    """The posterior of a :class:`LinearModel` as a guide."""

    latents: ClassVar = {"code": "gaussian"}

    def __init__(self, model):
        super().__init__()
        self.__dict__["_model"] = model

    def forward(self, batch):
        found = self._model.posterior(batch.vectors)
        precision = found.precision_matrix.expand(len(batch), -1, -1)
        column = dist.MultivariateNormal(
            found.loc.unsqueeze(1), precision_matrix=precision.unsqueeze(1)
        )
        with sentence_plate(batch):
            pyro.sample("code", column)
