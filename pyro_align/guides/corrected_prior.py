"""The prior times a learnt likelihood."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor, nn

from pyro_align.constraints import Size
from pyro_align.data.batch import Batch
from pyro_align.data.sharing import shared
from pyro_align.distributions import at_least_fp32, mask_logits
from pyro_align.guides.alignment_guide import AlignmentGuide


class CorrectedPriorGuide(AlignmentGuide):
    """``q(z_t = s | x, y) ∝ p(z_t = s | x, y_<t) exp(u(y_t, h_t) · v(x_s, m_s))``.

    Bayes' rule with a learnt likelihood. Given the decoder state, the posterior of ``z_t`` does not
    depend on the target after ``y_t``, so that no further network needs to encode it: the guide
    uses the model's states, which are computed already. They are detached, so that training the
    guide does not change the model.

    Args:
        model: an :class:`~pyro_align.models.AlignmentModel`.
        hidden: size of the vectors ``u`` and ``v``.
    """

    latents = {"alignment": "categorical"}

    def __init__(self, model: object, *, hidden: Size = 128):
        super().__init__(model)
        networks = self.model.networks
        source, target = networks.feature_sizes
        self.token = nn.Linear(target + networks.hidden_size, hidden)
        self.source = nn.Linear(source + networks.annotation_size, hidden, bias=False)

    @shared
    @pyro_method
    def scores(self, batch: Batch) -> Float[Tensor, "batch target source"]:
        """Compute the logits of ``q``, masked on source padding."""
        source, target = self.model.features(batch)
        states = self.model.states(batch)
        tokens = torch.cat([target, states.hidden], -1).detach()
        sources = torch.cat([source, states.memory.annotations], -1).detach()
        words = torch.tanh(self.source(sources))
        likelihood = at_least_fp32(self.token(tokens) @ words.transpose(1, 2))
        scores = self.model.prior(states).logits.detach() + likelihood
        return mask_logits(scores, batch.source_mask.unsqueeze(1))

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, dist.Categorical]:
        """Return a Categorical with :meth:`scores` as logits."""
        return {"alignment": dist.Categorical(logits=self.scores(batch))}
