"""Model with a categorical latent alignment."""

from __future__ import annotations

import pyro
import torch
from jaxtyping import Float, Int
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.batch import Batch
from pyro_align.distributions import TokenDistribution
from pyro_align.inference.plates import alignment_plates
from pyro_align.models.alignment_model import AlignmentModel
from pyro_align.networks import States, expected, pick


class CategoricalModel(AlignmentModel):
    """``z_t ~ Categorical(attention)``, ``y_t ~ p(y_t | m_{z_t}, h_t)`` (Deng et al. 2018).

    The alignments are independent given the target, so that ``log p(y | x)`` is the sum over
    positions of ``log Σ_s p(z_t = s) p(y_t | z_t = s)``.
    """

    latent = "categorical"

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``alignment``, ``tokens``."""
        states = self.states(batch)
        with alignment_plates(batch):
            alignment = pyro.sample("alignment", self.prior(states))
            emission = self.emission(states, alignment)
            return pyro.sample("tokens", emission, obs=batch.target)

    @pyro_method
    def emission(
        self, states: States, alignment: Int[Tensor, "*shape"] | Float[Tensor, "*shape source"]
    ) -> TokenDistribution:
        """Return the token distribution given source positions or weights of them.

        Args:
            states: decoder states of a batch.
            alignment: source positions, of a shape that broadcasts against
                ``(sentences, positions)``, possibly with dimensions to the left for particles or
                enumeration. If floating-point, relaxed one-hot vectors, with one more dimension.
        """
        context = expected if alignment.is_floating_point() else pick
        return self.networks.emission(states.hidden, context(states.memory.values, alignment))

    @pyro_method
    def next_token(
        self, states: States, top_k: int | None = None
    ) -> Float[Tensor, "batch target vocabulary"]:
        """Compute ``log Σ_s p(z_t = s) p(y_t | z_t = s)`` over all or the K best positions."""
        log_weights, memory = self.prior(states).logits, states.memory
        values, factors = memory.values.unsqueeze(1), memory.factors
        if top_k is not None and top_k < log_weights.shape[-1]:
            best, positions = log_weights.topk(top_k, dim=-1)
            best = best.log_softmax(-1)
            if factors is None:
                log_weights, values = best, values.take_along_dim(positions.unsqueeze(-1), 2)
            else:  # reuse the precomputed factors of all positions
                nothing = torch.full_like(log_weights, -torch.inf)
                log_weights = nothing.scatter(-1, positions, best)
        emission = self.networks.emission(states.hidden.unsqueeze(2), values)
        if factors is None:
            return emission.mixture(log_weights)
        return emission.mixture(log_weights, factors.unsqueeze(1))
