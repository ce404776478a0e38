"""Base class of models of sentences without a source."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.inference.dreams import Dream
from pyro_align.inference.program import Program
from pyro_align.models.ancestral import sample_sentences
from pyro_align.networks import LanguageNetwork


class SentenceModel(Program):
    """Base class of generative models of sentences.

    ``model(batch)`` is a Pyro program with the plates ``sentences`` (dim −2) and ``positions``
    (dim −1) and the observed site ``tokens``. A latent site of the sentence lies in the first plate
    only.

    Args:
        networks: the network that computes the distribution of each token.
    """

    def __init__(self, networks: LanguageNetwork):
        super().__init__()
        self.networks = networks

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Run the generative process and return the tokens."""

    def nearest(self, latent: Float[Tensor, "row latent"]) -> Float[Tensor, "row latent"]:
        """Return the nearest value that the latent variable can have to each vector.

        Means of a posterior, and points between two of them, are decoded after this.
        """
        return latent

    @pyro_method
    def dream(self, batch: Batch) -> Dream:
        """Sample latent variables and sentences, for wake-sleep."""
        values = self.sample_latents(len(batch))
        empty = self.networks.bias.new_zeros(len(batch), 0)
        latent = torch.cat([empty, *(value.squeeze(1) for value in values.values())], 1)
        return Dream(sample_sentences(self.networks, batch, latent), values)

    def sample_latents(self, count: int) -> dict[str, Float[Tensor, "sentence 1 latent"]]:
        """Sample the latent sites of ``count`` sentences from their prior; none by default."""
        return {}

    @pyro_method
    def features(self, batch: Batch) -> tuple[Float[Tensor, "batch target embedding"]]:
        """Compute features of the tokens, as inputs of guides."""
        features: tuple[Tensor] = self.networks.features(batch)
        return features

    @property
    def latent_size(self) -> int:
        """Size of the latent variable; 0 without one."""
        return self.networks.latent_size

    context_size = 0
    """Size of :meth:`context`."""

    @pyro_method
    def context(self, batch: Batch) -> Float[Tensor, "batch nothing"]:
        """Return what a guide reads besides the sentence: nothing, there is no source."""
        return self.networks.bias.new_zeros(len(batch), 0)
