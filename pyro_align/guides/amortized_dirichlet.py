"""The paper's inference network for relaxed alignments."""

from __future__ import annotations

import pyro
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.batch import Batch
from pyro_align.constraints import Layers, Rate, Size
from pyro_align.distributions import PaddedDirichlet, concentrations
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.guides.amortized import AmortizedGuide
from pyro_align.inference.plates import alignment_plates


class AmortizedDirichletGuide(AlignmentGuide):
    """``q(z_t | x, y) = Dirichlet(α_t)`` (Deng et al. 2018), ``α_t`` near the prior's.

    ``α_t`` are the concentrations of the prior's scores plus the bilinear scores of
    :class:`AmortizedGuide`, which so are what the target has to say beyond the prior. Scores of its
    own, as the paper has them, did not do: two sharp Dirichlets that disagree have a divergence of
    hundreds of nats, whose pull keeps both flat for as long as the guide knows nothing. A guide
    that starts at the prior starts at the Jensen bound instead.

    Args:
        model: an :class:`~pyro_align.models.AlignmentModel`.
        hidden: units of each network, each direction.
        layers: layers of each network.
        dropout: on embeddings and between layers; None for the model's own.
        share_embeddings: read the model's embeddings rather than own ones.
    """

    latent = "simplex"

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
    def posterior(self, batch: Batch) -> PaddedDirichlet:
        """Distribution of the alignments."""
        scores = self.model.states(batch).scores + self.amortized.scores(batch)
        return PaddedDirichlet(concentrations(scores), batch.source_mask.unsqueeze(1))

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``alignment``."""
        posterior = self.posterior(batch)
        with alignment_plates(batch):
            return pyro.sample("alignment", posterior)
