"""Amortised inference network for alignments on the simplex."""

from __future__ import annotations

from pyro.nn import pyro_method

from pyro_align.constraints import Layers, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.distributions import PaddedDirichlet, concentrations
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.guides.amortized import AmortizedGuide


class AmortizedDirichletGuide(AlignmentGuide):
    """``q(z_t | x, y) = Dirichlet(α_t)`` (Deng et al. 2018), parameterised relative to the prior.

    ``α_t`` are the concentrations of the sum of the prior's scores and the bilinear scores of
    :class:`AmortizedGuide`, which therefore learn a correction of the prior from the target. The
    separate scores of the paper trained badly: two sharp Dirichlets that disagree have a KL
    divergence of hundreds of nats, which keeps both flat while the guide is untrained. A guide that
    starts at the prior starts at the Jensen bound instead.

    Args:
        model: an :class:`~pyro_align.models.AlignmentModel`.
        hidden: number of units per network and direction.
        layers: number of layers per network.
        dropout: rate on embeddings and between layers; None to use the model's.
        share_embeddings: use the model's embeddings instead of separate ones.
    """

    latents = {"alignment": "simplex"}

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

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, PaddedDirichlet]:
        """Return a Dirichlet over the source positions of each sentence."""
        scores = self.model.states(batch).scores + self.amortized.scores(batch)
        mask = batch.source_mask.unsqueeze(1)
        return {"alignment": PaddedDirichlet(concentrations(scores), mask)}
