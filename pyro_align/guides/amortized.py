"""Amortised inference network with bilinear scores."""

from __future__ import annotations

import pyro.distributions as dist
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor, nn

from pyro_align.constraints import Layers, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.data.sharing import shared
from pyro_align.distributions import at_least_fp32, mask_logits
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.nn.recurrence import BidirectionalRecurrence


class AmortizedGuide(AlignmentGuide):
    """``q(z_t | x, y) = softmax(g_t · W s)``: bilinear scores between two bidirectional networks.

    The inference network of Deng et al. (2018). One network encodes the source, the other the whole
    target, including ``y_t`` and the tokens after it.

    Args:
        model: an :class:`~pyro_align.models.AlignmentModel`.
        hidden: number of units per network and direction.
        layers: number of layers per network.
        dropout: rate on embeddings and between layers; None to use the model's.
        share_embeddings: use the model's embeddings, as in the paper, instead of separate ones.
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
        networks = self.model.networks
        rate = networks.dropout_rate if dropout is None else dropout
        self.own_features = None if share_embeddings else networks.new_features()
        self.dropout = nn.Dropout(rate)
        self.source_network, self.target_network = (
            BidirectionalRecurrence(networks.cell, size, hidden, layers, rate)
            for size in networks.feature_sizes
        )
        self.bilinear = nn.Linear(2 * hidden, 2 * hidden, bias=False)

    @shared
    @pyro_method
    def scores(self, batch: Batch) -> Float[Tensor, "batch target source"]:
        """Compute the logits of ``q``, masked on source padding."""
        return self._scored(batch)[1]

    def _scored(self, batch: Batch) -> tuple[Tensor, Float[Tensor, "batch target source"]]:
        """Compute encodings of the target tokens, and scores."""
        source, target = (self.own_features or self.model.features)(batch)
        sources = self.source_network(self.dropout(source), batch.source_lengths)
        targets = self.target_network(self.dropout(target), batch.target_lengths)
        scores = targets @ self.bilinear(sources).transpose(1, 2)
        return targets, mask_logits(at_least_fp32(scores), batch.source_mask.unsqueeze(1))

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, dist.Categorical]:
        """Return a Categorical with :meth:`scores` as logits."""
        return {"alignment": dist.Categorical(logits=self.scores(batch))}
