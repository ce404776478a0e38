"""A von Mises–Fisher distribution for each sentence, from an encoder of the sentence."""

from __future__ import annotations

from typing import Any, Literal

from pyro.nn import pyro_method
from torch import nn
from torch.nn.functional import normalize, softplus

from pyro_align.constraints import Layers, NonNegative, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.distributions import VonMisesFisher, at_least_fp32
from pyro_align.guides.sentence_guide import SentenceGuide
from pyro_align.nn.recurrence import Cell


class VonMisesFisherGuide(SentenceGuide):
    """``q(s | y) = vMF(μ(y), κ)`` with a fixed concentration κ (Xu & Durrett 2018).

    Its divergence from the uniform prior depends on κ only, so that it cannot collapse.

    It has the arguments of :class:`SentenceGuide` too.

    Args:
        concentration: κ; 0 to compute one for each sentence (Davidson et al. 2018), at least 1.
    """

    latents = {"sentence": "spherical"}

    def __init__(
        self,
        model: object,
        *,
        concentration: NonNegative = 80.0,
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
        self.concentration = concentration
        read = self.encoded_size
        self.direction = nn.Linear(read, self.model.latent_size)
        self.spread = None if concentration else nn.Linear(read, 1)

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, Any]:
        """Return a von Mises–Fisher distribution for each sentence."""
        read = self.encoded(batch).unsqueeze(1)
        direction = normalize(at_least_fp32(self.direction(read)), dim=-1)
        if self.spread is None:
            kappa = direction.new_full(direction.shape[:-1], self.concentration)
        else:
            kappa = 1 + softplus(at_least_fp32(self.spread(read))).squeeze(-1)
        return {"sentence": VonMisesFisher(direction, kappa)}
