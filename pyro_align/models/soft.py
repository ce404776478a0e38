"""Soft attention: no latent alignment."""

from __future__ import annotations

import pyro
from torch import Tensor

from pyro_align.batch import Batch
from pyro_align.inference.plates import alignment_plates
from pyro_align.models.alignment_model import AlignmentModel
from pyro_align.networks import States


class SoftModel(AlignmentModel):
    """``y_t ~ p(y_t | E_p[m_z], h_t)``: the context is the expectation under the attention.

    Bahdanau et al. 2015; Luong et al. 2015. Attention weights are no probabilities of anything
    here; the model is the baseline that latent alignment is measured against.
    """

    latent = "none"

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``tokens``."""
        states = self.states(batch)
        with alignment_plates(batch):
            return pyro.sample("tokens", self.expected_emission(states), obs=batch.target)

    def next_token(self, states: States, top_k: int | None = None) -> Tensor:
        """Log probabilities from the expected context; there is nothing to marginalise."""
        return self.expected_emission(states).logits
