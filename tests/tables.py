"""A model and a guide of tables, whose every sum can be written out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from support import mean_error, random_batch, repeated
from torch import Tensor

VOCABULARY, SOURCE = 9, 3


class World:
    """A model and a guide of tables: one leaf tensor for each, a row for each sentence."""

    def __init__(self, sentences, positions, seed=0):
        generator = torch.Generator().manual_seed(seed)

        def leaf(*shape):
            row = torch.randn(1, *shape, generator=generator, dtype=torch.float64)
            return row.expand(sentences, *shape).clone().requires_grad_()

        self.prior = leaf(positions, SOURCE)
        self.posterior = leaf(positions, SOURCE)
        self.emission = leaf(SOURCE, VOCABULARY)

    @property
    def leaves(self):
        return self.prior, self.posterior, self.emission

    def plates(self, batch):
        sentences, positions = batch.target.shape
        return (
            pyro.plate("sentences", sentences, dim=-2),
            pyro.plate("positions", positions, dim=-1),
            poutine.mask(mask=batch.target_mask),
        )

    def model(self, batch):
        first, second, mask = self.plates(batch)
        with first, second, mask:
            alignment = pyro.sample("alignment", dist.Categorical(logits=self.prior))
            rows = torch.arange(len(batch)).unsqueeze(-1)
            logits = self.emission[rows, alignment]
            pyro.sample("tokens", dist.Categorical(logits=logits), obs=batch.target)

    def guide(self, batch):
        first, second, mask = self.plates(batch)
        with first, second, mask:
            pyro.sample("alignment", dist.Categorical(logits=self.posterior))

    def parts(self, batch):
        """``log p(z)``, ``log q(z)``, ``log p(y | z)``, each ``(sentence, position, source)``."""
        log_prob = self.emission.log_softmax(-1)
        columns = batch.target.unsqueeze(1).expand(-1, SOURCE, -1)
        likelihood = log_prob.gather(-1, columns).transpose(1, 2)
        return self.prior.log_softmax(-1), self.posterior.log_softmax(-1), likelihood

    def exact_posterior(self, batch):
        """The guide ``p(z | x, y)``, by Bayes' rule."""
        p, _, likelihood = self.parts(batch)
        first, second, mask = self.plates(batch)
        with first, second, mask:
            pyro.sample("alignment", dist.Categorical(logits=p + likelihood))

    def bound(self, batch, kl_weight=1.0):
        """The ELBO in closed form."""
        p, q, likelihood = self.parts(batch)
        cells = q.exp() * (likelihood - kl_weight * (q - p))
        return (cells.sum(-1) * batch.target_mask).sum()

    def evidence(self, batch):
        """The log evidence in closed form."""
        p, _, likelihood = self.parts(batch)
        return ((p + likelihood).logsumexp(-1) * batch.target_mask).sum()


@dataclass
class Tuples:
    """All ``S^K`` ways to draw K alignments, for every sentence and target position.

    Attributes:
        probability: of each, ``(sentence, position, tuple)``.
        log_prior: of each draw of each, ``(sentence, position, tuple, draw)``; the others, too.
    """

    probability: Tensor
    log_prior: Tensor
    log_guide: Tensor
    log_emission: Tensor
    log_weight: Tensor
    mask: Tensor

    @classmethod
    def of(cls, world, batch, samples, kl_weight=1.0):
        index = torch.cartesian_prod(*[torch.arange(SOURCE)] * samples).reshape(-1, samples)
        p, q, likelihood = (table[..., index] for table in world.parts(batch))
        weight = likelihood + kl_weight * (p - q)
        return cls(q.sum(-1).exp(), p, q, likelihood, weight, batch.target_mask)

    def expectation(self, values):
        """Sum over positions of the expectation of ``(sentence, position, tuple)``."""
        return ((self.probability * values).sum(-1) * self.mask).sum()

    @property
    def bound(self):
        """The importance-weighted bound of each tuple."""
        return self.log_weight.logsumexp(-1) - math.log(self.log_weight.shape[-1])


POSITIONS = 3
ONE = random_batch((SOURCE,), (POSITIONS,))
"""The one sentence pair of :func:`gradients`."""


def gradients(objective, rows):
    """Independent gradients of the negative loss, ``(row, coordinate)``, from one call.

    Every sentence has tables of its own. The coordinates are those of prior, guide and emission.
    """
    world = World(rows, POSITIONS)
    loss = objective(world.model, world.guide)(repeated(ONE, rows))
    draws = torch.autograd.grad(-loss, world.leaves)
    return torch.cat([draw.reshape(rows, -1) for draw in draws], dim=1)


def flat_gradient(value, world):
    """Gradient of a value for prior, guide and emission, as one vector."""
    return torch.cat([grad.reshape(-1) for grad in torch.autograd.grad(value, world.leaves)])


def worst_error(draws, expected):
    """The largest distance of a mean from what is expected, in standard errors.

    Beyond 6 lies a mean of thousands of draws with a probability of 2·10⁻⁹: some 10⁴ coordinates
    then raise a false alarm with a probability below 10⁻⁴.
    """
    return mean_error(draws, expected).max().item()


class Fixed(Messenger):
    """Handler for a guide: these alignments are drawn."""

    def __init__(self, alignment):
        super().__init__()
        self.alignment = alignment

    def _pyro_sample(self, msg):
        if msg["name"] == "alignment":
            # A plate outside, such as that of the samples, leaves alone what is done.
            msg["fn"] = msg["fn"].expand(self.alignment.shape)
            msg["value"] = self.alignment
            msg["done"] = True
