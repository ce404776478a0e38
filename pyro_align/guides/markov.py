"""Amortised inference network for paths: each alignment depends on the previous one."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.constraints import Layers, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.data.sharing import shared
from pyro_align.distributions import MarkovChain
from pyro_align.guides.amortized import AmortizedGuide
from pyro_align.nn import Jumps


class MarkovGuide(AmortizedGuide):
    """``q(z_t | z_{t-1}, x, y)``: bilinear scores as in :class:`AmortizedGuide`, and jump scores.

    The exact posterior of :class:`~pyro_align.models.MarkovModel` is a Markov chain too, so that
    the family of this guide contains it. KL divergences are exact.

    Args:
        model: a :class:`~pyro_align.models.MarkovModel`. If it forbids jumps backwards, so does the
            guide.
        hidden: number of units per network and direction.
        layers: number of layers per network.
        dropout: rate on embeddings and between layers; None to use the model's.
        share_embeddings: use the model's embeddings instead of separate ones.
    """

    latents = {"alignment": "markov"}

    def __init__(
        self,
        model: object,
        *,
        hidden: Size = 128,
        layers: Layers = 1,
        dropout: Rate | None = None,
        share_embeddings: bool = True,
    ):
        super().__init__(
            model,
            hidden=hidden,
            layers=layers,
            dropout=dropout,
            share_embeddings=share_embeddings,
        )
        jumps = self.model.jumps
        self.jumps = Jumps(2 * hidden, jumps.width, monotonic=jumps.monotonic)

    @shared
    @pyro_method
    def logits(self, batch: Batch) -> Float[Tensor, "batch target one_more source"]:
        """Compute the logits of the transitions, see :class:`~pyro_align.nn.Jumps`."""
        logits: Tensor = self.jumps(*self._scored(batch))
        return logits

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, Any]:
        """Return the chain of the alignments of each sentence."""
        logits = self.logits(batch)
        mask = batch.target_mask.unsqueeze(1)
        return {"alignment": MarkovChain(logits[:, :1, 0], logits[:, None, 1:, 1:], mask)}
