"""A Gaussian for each sentence, from an encoder of the sentence."""

from __future__ import annotations

from typing import Any, Literal

import pyro.distributions as dist
import torch
from pyro.nn import pyro_method
from torch import nn

from pyro_align.constraints import Layers, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.distributions import at_least_fp32
from pyro_align.guides.sentence_guide import SentenceGuide
from pyro_align.nn.recurrence import Cell


class GaussianGuide(SentenceGuide):
    """``q(s | y) = N(μ(y), diag σ(y)²)``: the inference network of Kingma & Welling (2014).

    ``μ`` and ``log σ`` are linear in what :class:`SentenceGuide` reads, whose arguments it has.
    """

    latents = {"sentence": "gaussian"}

    def __init__(
        self,
        model: object,
        *,
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
        size = self.model.networks.latent_size
        self.parameters_of = nn.Linear(self.encoder.annotation_size, 2 * size)

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, Any]:
        """Return a Normal for each sentence."""
        parameters = at_least_fp32(self.parameters_of(self.encoded(batch))).unsqueeze(1)
        mean, log_scale = parameters.chunk(2, -1)
        return {"sentence": dist.Normal(mean, torch.exp(log_scale)).to_event(1)}
