"""A Gaussian of fixed divergence for each sentence, with whitened means."""

from __future__ import annotations

import math
from typing import Any, Literal

import pyro.distributions as dist
from pyro.nn import pyro_method
from torch import nn

from pyro_align.constraints import Layers, Positive, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.distributions import at_least_fp32
from pyro_align.guides.sentence_guide import SentenceGuide
from pyro_align.nn.recurrence import Cell
from pyro_align.nn.whitening import Whitening


class WhitenedGuide(SentenceGuide):
    """``q(s | y) = N(m + √γ D w(y), (1 − γ) D²)`` with whitened ``w`` and the prior ``N(m, D²)``.

    ``w`` is linear in what :class:`SentenceGuide` reads, and whitened: over the training sentences
    its mean is zero and its covariance the identity. Then its mean divergence from the prior is a
    constant, ``−d/2 log(1 − γ)`` in ``d`` dimensions, and the mixture of ``q`` over the sentences
    has the mean and the covariance of the prior: none of the divergence is spent on dimensions that
    repeat each other, as it can be with free bits or with batch normalization of the means (Zhu et
    al. 2020).

    Directions whose variance before whitening is below 1e-5 of the mean variance vary less after
    it. Since that reduces the divergence, training can move directions there.

    It has the arguments of :class:`SentenceGuide` too.

    Args:
        divergence: mean divergence from the prior over the training sentences, in nats per
            sentence, which determines ``γ``. Without dropout, ``w`` varies less: the divergence in
            an evaluation is smaller.
    """

    latents = {"sentence": "gaussian"}

    def __init__(
        self,
        model: object,
        *,
        divergence: Positive = 5.0,
        encoder: Literal["recurrent", "convolutional", "transformer"] = "recurrent",
        cell: Cell = "lstm",
        hidden: Size = 128,
        layers: Layers = 1,
        kernel: Size = 3,
        heads: Size = 4,
        dropout: Rate | None = None,
        share_embeddings: bool = False,
    ):
        super().__init__(
            model,
            encoder=encoder,
            cell=cell,
            hidden=hidden,
            layers=layers,
            kernel=kernel,
            heads=heads,
            dropout=dropout,
            share_embeddings=share_embeddings,
        )
        size = self.model.latent_size
        self.direction = nn.Linear(self.encoded_size, size)
        self.whitening = Whitening(size)
        self.variance = math.exp(-2 * divergence / size)
        """``1 − γ``, the variance of each dimension."""

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, Any]:
        """Return a Normal for each sentence."""
        prior = self.model.prior_given(batch).base_dist
        whitened = self.whitening(at_least_fp32(self.direction(self.encoded(batch))))
        mean = prior.loc + math.sqrt(1 - self.variance) * prior.scale * whitened.unsqueeze(1)
        return {"sentence": dist.Normal(mean, math.sqrt(self.variance) * prior.scale).to_event(1)}
