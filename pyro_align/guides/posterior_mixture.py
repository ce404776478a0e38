"""Mixture of the prior and an inference network."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from pyro_align.constraints import Layers, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.data.sharing import shared
from pyro_align.distributions import at_least_fp32
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.guides.amortized import AmortizedGuide


class PosteriorMixtureGuide(AlignmentGuide):
    """``q = γ_t p(z_t | x, y_<t) + (1 − γ_t) r(z_t | x, y)``, ``γ_t = sigmoid(w · h_t + b)``.

    ``r`` is an :class:`AmortizedGuide`. The gate ``γ_t``, computed from the decoder state, lets the
    guide fall back to the prior, and bounds the KL divergence: ``KL(q ‖ p) ≤ (1 − γ) KL(r ‖ p)``.

    Args:
        model: an :class:`~pyro_align.models.AlignmentModel`.
        hidden: number of units per network of ``r`` and direction.
        layers: number of layers per network of ``r``.
        dropout: rate on embeddings and between layers of ``r``; None to use the model's.
        share_embeddings: use the model's embeddings instead of separate ones.
    """

    latents = {"alignment": "categorical"}

    def __init__(
        self,
        model: object,
        *,
        hidden: Size = 128,
        layers: Layers = 1,
        dropout: Rate | None = None,
        share_embeddings: bool = True,
    ):
        super().__init__(model)
        self.amortized = AmortizedGuide(
            model,
            hidden=hidden,
            layers=layers,
            dropout=dropout,
            share_embeddings=share_embeddings,
        )
        self.gate = nn.Linear(self.model.networks.hidden_size, 1)

    @shared
    @pyro_method
    def scores(self, batch: Batch) -> Float[Tensor, "batch target source"]:
        """Compute the log probabilities of ``q``."""
        states = self.model.states(batch)
        gate = at_least_fp32(self.gate(states.hidden))
        prior = logsigmoid(gate) + self.model.prior(states).logits
        network = logsigmoid(-gate) + self.amortized.scores(batch).log_softmax(-1)
        return torch.logaddexp(prior, network)

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, dist.Categorical]:
        """Return a Categorical with :meth:`scores` as logits."""
        return {"alignment": dist.Categorical(logits=self.scores(batch))}
