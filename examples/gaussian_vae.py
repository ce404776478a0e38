"""The auto-encoder of Kingma & Welling (2014) as a plain Pyro model and guide.

    python examples/gaussian_vae.py

trains it on points of a parabola in the plane, with one latent variable. `benchmarks/aevb.py` uses
the same model and guide.
"""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI
from torch import nn

from pyro_align.data import VectorBatch
from pyro_align.inference import Likelihood, Program, score_sentences, sentence_plate


class Decoder(Program):
    """``z ~ N(0, I)``, ``x ~ N(μ(z), σ²(z))`` or ``x ~ Bernoulli(μ(z))``, by one hidden layer.

    Args:
        size: size of the vectors.
        latent: number of latent dimensions.
        hidden: number of hidden units.
        bernoulli: whether vectors are binary; otherwise they are real numbers between 0 and 1.
    """

    latents = {"code": "gaussian"}

    def __init__(self, size: int, latent: int, hidden: int, *, bernoulli: bool = False):
        super().__init__()
        self.latent = latent
        self.bernoulli = bernoulli
        self.hidden = nn.Sequential(nn.Linear(latent, hidden), nn.Tanh())
        self.mean = nn.Sequential(nn.Linear(hidden, size), nn.Sigmoid())
        self.log_scale = nn.Linear(hidden, size)

    def forward(self, batch: VectorBatch) -> None:
        """Sites: ``code``, ``vectors``."""
        zeros = batch.vectors.new_zeros(len(batch), 1, self.latent)
        with sentence_plate(batch):
            code = pyro.sample("code", dist.Normal(zeros, 1.0).to_event(1))
            pyro.sample("vectors", self.emission(code), obs=batch.vectors.unsqueeze(1))

    def emission(self, code: torch.Tensor) -> dist.TorchDistribution:
        """Return the distribution of the vectors."""
        hidden = self.hidden(code)
        mean = self.mean(hidden)
        if self.bernoulli:
            return dist.Bernoulli(mean, validate_args=False).to_event(1)
        return dist.Normal(mean, self.log_scale(hidden).exp()).to_event(1)


class Encoder(Program):
    """``q(z | x) = N(μ(x), σ²(x))``, by one hidden layer."""

    latents = {"code": "gaussian"}

    def __init__(self, size: int, latent: int, hidden: int):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(size, hidden), nn.Tanh())
        self.loc, self.log_scale = nn.Linear(hidden, latent), nn.Linear(hidden, latent)

    def forward(self, batch: VectorBatch) -> None:
        """Sites: ``code``."""
        hidden = self.hidden(batch.vectors.unsqueeze(1))
        code = dist.Normal(self.loc(hidden), self.log_scale(hidden).exp()).to_event(1)
        with sentence_plate(batch):
            pyro.sample("code", code)


def main(steps: int = 1000) -> None:
    """Train on a parabola with stock SVI."""
    pyro.set_rng_seed(0)
    across = torch.rand(500)
    points = torch.stack([across, 4 * (across - 0.5) ** 2], 1)
    batch = VectorBatch.of(points)
    model, guide = Decoder(2, 1, 20), Encoder(2, 1, 20)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.02}), Likelihood())
    for step in range(steps + 1):
        loss = svi.step(batch) / len(points)
        if step % 250 == 0:
            print(f"step {step:4d}: bound {-loss:.3f} nats per point")
    evidence = score_sentences(model, guide, batch, draws=200).log_evidence.mean()
    print(f"log evidence {evidence:.3f} nats per point")


if __name__ == "__main__":
    main()
