"""Model with a categorical latent alignment."""

from __future__ import annotations

import pyro
from jaxtyping import Float, Int
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.distributions import TokenDistribution
from pyro_align.inference.plates import alignment_plates
from pyro_align.models.alignment_model import AlignmentModel
from pyro_align.networks import States
from pyro_align.nn import expected, pick


class CategoricalModel(AlignmentModel):
    """``z_t ~ Categorical(attention)``, ``y_t ~ p(y_t | m_{z_t}, h_t)`` (Deng et al. 2018).

    The alignments are independent given the target, so that ``log p(y | x)`` is the sum over
    positions of ``log Σ_s p(z_t = s) p(y_t | z_t = s)``.
    """

    latents = {"alignment": "categorical"}

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``alignment``, ``tokens``."""
        states = self.states(batch)
        with alignment_plates(batch):
            return self.tokens(batch, states)

    def tokens(self, batch: Batch, states: States) -> Tensor:
        """Sample the alignments, and observe the tokens, within :func:`alignment_plates`."""
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
        return self.networks.emission.log_mixture(
            states.hidden,
            states.memory.values,
            self.prior(states).logits,
            top_k=top_k,
            factors=states.memory.factors,
        )
