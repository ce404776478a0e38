"""Model with a Dirichlet latent alignment."""

from __future__ import annotations

import pyro
import torch
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.distributions import PaddedDirichlet, TokenDistribution, concentrations
from pyro_align.inference.plates import alignment_plates
from pyro_align.models.alignment_model import AlignmentModel
from pyro_align.networks import States
from pyro_align.nn import expected


class DirichletModel(AlignmentModel):
    """``z_t ~ Dirichlet(α_t)``, ``y_t ~ p(y_t | Σ_s z_ts m_s, h_t)`` (Deng et al. 2018).

    An alignment is a point of the simplex over the source positions, and the context is the sum of
    the annotations weighted by it. The concentrations ``α_t`` are computed from the attention
    scores by :func:`~pyro_align.distributions.concentrations`.
    """

    latents = {"alignment": "simplex"}

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``alignment``, ``tokens``."""
        states = self.states(batch)
        with alignment_plates(batch):
            alignment = pyro.sample("alignment", self.prior(states))
            emission = self.emission(states, alignment)
            return pyro.sample("tokens", emission, obs=batch.target)

    @pyro_method
    def prior(self, states: States) -> PaddedDirichlet:
        """Return the Dirichlet with concentrations computed from the attention scores."""
        return PaddedDirichlet(concentrations(states.scores), states.memory.mask.unsqueeze(1))

    @pyro_method
    def emission(
        self, states: States, alignment: Float[Tensor, "*shape source"]
    ) -> TokenDistribution:
        """Return the token distribution given weights of the source positions.

        Args:
            states: decoder states of a batch.
            alignment: ``(sentences, positions, source)``, with particles to the left if any.
        """
        return self.networks.emission(states.hidden, expected(states.memory.values, alignment))

    @pyro_method
    def expected_emission(self, states: States) -> TokenDistribution:
        """Return the token distribution given the mean of the prior."""
        return self.emission(states, self.prior(states).mean)

    @pyro_method
    def next_token(
        self, states: States, top_k: int | None = None
    ) -> Float[Tensor, "batch target vocabulary"]:
        """Compute ``log p(y_t | z_t = E_p[z_t])``, a plug-in approximation of the marginal.

        The integral over the simplex has no closed form. Using the mean alignment costs one
        emission and is deterministic, as beam search needs; an average over samples would cost one
        emission per sample and vary between calls. For an estimate of the true marginal see
        :func:`~pyro_align.inference.score_positions`. ``top_k`` keeps the K largest weights of the
        mean, renormalised.
        """
        weights = self.prior(states).mean
        if top_k is not None and top_k < weights.shape[-1]:
            largest, positions = weights.topk(top_k, dim=-1)
            kept = largest / largest.sum(-1, keepdim=True)
            weights = torch.zeros_like(weights).scatter(-1, positions, kept)
        return self.emission(states, weights).logits
