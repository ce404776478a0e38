"""A Gaussian latent variable for each sentence: the sentence VAE."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.inference.plates import position_plate, sentence_plate
from pyro_align.models.sentence_model import SentenceModel


class SentenceVAE(SentenceModel):
    """``s ~ N(0, I)``, ``y_t ~ p(y_t | y_<t, s)``: the variational autoencoder of sentences.

    The model of Bowman et al. (2016). Its prior is :meth:`prior`, which a subclass may override.
    """

    latents = {"sentence": "gaussian"}

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``sentence``, ``tokens``."""
        with sentence_plate(batch):
            latent = pyro.sample("sentence", self.prior(len(batch)))
            with position_plate(batch):
                emission = self.networks(batch, latent)
                tokens: Tensor = pyro.sample("tokens", emission, obs=batch.target)
                return tokens

    @pyro_method
    def prior(self, count: int) -> Any:
        """Return the prior of ``count`` sentences, of batch shape ``(count, 1)``."""
        zeros = self.networks.bias.new_zeros(count, 1, self.networks.latent_size)
        return dist.Normal(zeros, 1.0).to_event(1)
