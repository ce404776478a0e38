"""A Gaussian latent variable for each sentence: the sentence VAE."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
from pyro.nn import pyro_method
from torch import Tensor, nn

from pyro_align.constraints import NonNegative
from pyro_align.data.batch import Batch
from pyro_align.distributions import VocabularyCategorical
from pyro_align.inference.plates import position_plate, sentence_plate
from pyro_align.models.sentence_model import SentenceModel
from pyro_align.networks import LanguageNetwork


class SentenceVAE(SentenceModel):
    """``s ~ N(0, I)``, ``y_t ~ p(y_t | y_<t, s)``: the variational autoencoder of sentences.

    The model of Bowman et al. (2016). Its prior is :meth:`prior`, which a subclass may override.

    Args:
        networks: the network that computes the distribution of each token.
        bag_of_words: weight of a loss in training, that of predicting every token of the sentence
            from the latent vector alone (Zhao et al. 2017); 0 for none.
    """

    latents = {"sentence": "gaussian"}

    def __init__(self, networks: LanguageNetwork, *, bag_of_words: NonNegative = 0.0):
        super().__init__(networks)
        self.bag_of_words = bag_of_words
        vocabulary = networks.bias.shape[0]
        self.bag = nn.Linear(networks.latent_size, vocabulary) if bag_of_words else None

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``sentence``, ``tokens``, and in training the factor ``bag_of_words``."""
        with sentence_plate(batch):
            latent = pyro.sample("sentence", self.prior(len(batch)))
            with position_plate(batch):
                if self.training and self.bag is not None:
                    bag = VocabularyCategorical(latent, self.bag.weight, self.bag.bias)
                    pyro.factor("bag_of_words", self.bag_of_words * bag.log_prob(batch.target))
                emission = self.networks(batch, latent)
                tokens: Tensor = pyro.sample("tokens", emission, obs=batch.target)
                return tokens

    def sample_latents(self, count: int) -> dict[str, Tensor]:
        """Sample from :meth:`prior`."""
        return {"sentence": self.prior(count).sample()}

    def remedies(self) -> list[str]:
        """Return changes of the model that may prevent posterior collapse, with settings."""
        found = []
        if self.bag is None:
            found.append("a bag-of-words loss (model.bag_of_words=1)")
        if self.networks.skip is None:
            found.append("skip connections of the latent variable (network.skip=true)")
        return found

    @pyro_method
    def prior(self, count: int) -> Any:
        """Return the prior of ``count`` sentences, of batch shape ``(count, 1)``."""
        zeros = self.networks.bias.new_zeros(count, 1, self.networks.latent_size)
        return dist.Normal(zeros, 1.0).to_event(1)

    @pyro_method
    def prior_given(self, batch: Batch) -> Any:
        """Return the prior of the sentences of a batch, which guides may read."""
        return self.prior(len(batch))
