"""A latent point of the unit sphere for each sentence."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor
from torch.nn.functional import normalize

from pyro_align.constraints import NonNegative
from pyro_align.distributions import SphereUniform
from pyro_align.errors import ConfigError
from pyro_align.models.sentence_vae import SentenceVAE
from pyro_align.networks import LanguageNetwork


class SphericalVAE(SentenceVAE):
    """``s`` uniform on the unit sphere, ``y_t ~ p(y_t | y_<t, s)`` (Xu & Durrett 2018).

    Args:
        networks: the network that computes the distribution of each token.
        bag_of_words: as in :class:`SentenceVAE`.

    Raises:
        ConfigError: if the latent vector has fewer than 3 dimensions.
    """

    latents = {"sentence": "spherical"}

    def __init__(self, networks: LanguageNetwork, *, bag_of_words: NonNegative = 0.0):
        super().__init__(networks, bag_of_words=bag_of_words)
        if networks.latent_size < 3:
            raise ConfigError(
                f"a latent variable on the sphere needs 3 dimensions or more: set network.latent, "
                f"which is {networks.latent_size}"
            )

    @pyro_method
    def prior(self, count: int) -> Any:
        """Return the prior of ``count`` sentences, of batch shape ``(count, 1)``."""
        return SphereUniform(self.networks.bias.new_zeros(count, 1, self.networks.latent_size))

    def nearest(self, latent: Float[Tensor, "row latent"]) -> Float[Tensor, "row latent"]:
        """Return the point of the sphere in the direction of each vector."""
        return normalize(latent, dim=-1)
