"""Model with soft attention, without a latent alignment."""

from __future__ import annotations

import pyro
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.inference.plates import alignment_plates
from pyro_align.models.alignment_model import AlignmentModel
from pyro_align.networks import States


class SoftModel(AlignmentModel):
    """``y_t ~ p(y_t | E_p[m_z], h_t)``: the context is the mean under the attention weights.

    Soft attention (Bahdanau et al. 2015; Luong et al. 2015), the standard model to compare latent
    alignment with. Its attention weights are not probabilities of a latent variable.
    """

    latents = {}

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``tokens``."""
        states = self.states(batch)
        with alignment_plates(batch):
            return self.tokens(batch, states)

    def tokens(self, batch: Batch, states: States) -> Tensor:
        """Observe the tokens, within :func:`alignment_plates`."""
        # Handlers, such as guided_alignment, find the attention weights in infer.
        infer = {"attention": self.prior(states)}
        emission = self.expected_emission(states)
        return pyro.sample("tokens", emission, obs=batch.target, infer=infer)

    def next_token(self, states: States, top_k: int | None = None) -> Tensor:
        """Compute the log probabilities given the expected context."""
        return self.expected_emission(states).logits
