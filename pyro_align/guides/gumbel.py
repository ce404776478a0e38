"""Guide with Gumbel-softmax samples."""

from __future__ import annotations

import torch
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.constraints import Count, Layers, Positive, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.distributions import GumbelSoftmax, StraightThroughGumbelSoftmax
from pyro_align.errors import ConfigError
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.guides.amortized import AmortizedGuide


class GumbelGuide(AlignmentGuide):
    """``z_t = softmax((g_t + Gumbel noise) / τ)``, scores ``g_t`` as in :class:`AmortizedGuide`.

    A continuous relaxation of ``Categorical(g_t)`` with reparameterised samples (Jang et al. 2017).

    Args:
        model: an :class:`~pyro_align.models.AlignmentModel`.
        temperature: initial τ.
        floor: minimum of τ.
        half_life: optimiser steps in which τ halves, until it reaches the floor.
        straight_through: sample one-hot vectors, with the gradient of the relaxed samples.
        hidden: number of units per network and direction.
        layers: number of layers per network.
        dropout: rate on embeddings and between layers; None to use the model's.
        share_embeddings: use the model's embeddings instead of separate ones.

    Attributes:
        temperature: current τ, a buffer that is saved with the weights. Training updates it; to set
            it, use ``guide.temperature.fill_(0.5)``.
    """

    latents = {"alignment": "relaxed"}
    temperature: Tensor

    def __init__(
        self,
        model: object,
        *,
        temperature: Positive = 1.0,
        floor: Positive = 0.5,
        half_life: Count = 5000,
        straight_through: bool = False,
        hidden: Size = 128,
        layers: Layers = 1,
        dropout: Rate | None = None,
        share_embeddings: bool = True,
    ):
        if not 0 < floor <= temperature:
            raise ConfigError(
                f"the floor must be above 0 and at most the temperature; got temperature "
                f"{temperature} and floor {floor}"
            )
        if half_life < 1:
            raise ConfigError(f"half_life must be 1 or more optimiser steps; got {half_life}")
        super().__init__(model)
        self.amortized = AmortizedGuide(
            model,
            hidden=hidden,
            layers=layers,
            dropout=dropout,
            share_embeddings=share_embeddings,
        )
        self.register_buffer("temperature", torch.tensor(temperature))
        self.initial_temperature = temperature
        self.floor = floor
        self.half_life = half_life
        self.distribution = StraightThroughGumbelSoftmax if straight_through else GumbelSoftmax

    def anneal(self, step: int) -> None:
        """Set the temperature for an optimiser step, counted from 0."""
        decayed = self.initial_temperature * 0.5 ** (step / self.half_life)
        self.temperature.fill_(max(self.floor, decayed))

    def relax(self, logits: Tensor) -> GumbelSoftmax:
        """Return the relaxation of a Categorical at the current temperature."""
        return self.distribution(self.temperature, logits)

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, GumbelSoftmax]:
        """Return the relaxation of the Categorical of :class:`AmortizedGuide`."""
        return {"alignment": self.relax(self.amortized.scores(batch))}
