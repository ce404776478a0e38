"""A language model without latent variables."""

from __future__ import annotations

import pyro
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.inference.plates import alignment_plates
from pyro_align.models.sentence_model import SentenceModel


class LanguageModel(SentenceModel):
    """``y_t ~ p(y_t | y_<t)``, the model to compare one with a latent variable with."""

    latents = {}

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``tokens``."""
        with alignment_plates(batch):
            tokens: Tensor = pyro.sample("tokens", self.networks(batch), obs=batch.target)
            return tokens
