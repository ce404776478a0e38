"""Transitions between source positions from attention scores and the width of the jump."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pyro_align.distributions import MASKED_LOGIT, at_least_fp32
from pyro_align.errors import ConfigError


class Jumps(nn.Module):
    """Logits of ``z_t`` given ``z_{t-1}``: ``s_t[j] + a_t[j − i]``, for a step from ``i`` to ``j``.

    ``s_t`` are attention scores and ``a_t`` jump scores, computed from the decoder state by a
    linear layer (compare Wu & Cotterell 2019). Jumps wider than ``width`` have the score of
    ``width``. The first position is a jump from −1, the place before the source. At initialisation
    all jumps have the same score, so that the transitions are those of the attention alone.

    Args:
        hidden: size of a decoder state.
        width: width of the widest jump with its own score.
        monotonic: forbid jumps backwards.

    Raises:
        ConfigError: if ``width`` is below 1.
    """

    def __init__(self, hidden: int, width: int, *, monotonic: bool = False):
        super().__init__()
        if width < 1:
            raise ConfigError(f"the width of jumps must be at least 1, got {width}")
        self.width = width
        self.monotonic = monotonic
        self.narrowest = 0 if monotonic else -width
        self.score = nn.Linear(hidden, width - self.narrowest + 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(
        self,
        hidden: Float[Tensor, "batch target hidden"],
        scores: Float[Tensor, "batch target source"],
    ) -> Float[Tensor, "batch target one_more source"]:
        """Compute the logits from the place before the source and from each position, in fp32.

        Args:
            hidden: decoder states.
            scores: attention scores, masked on padding.
        """
        source = scores.shape[-1]
        jumps = torch.arange(1 - source, source + 1, device=scores.device)
        index = jumps.clamp(self.narrowest, self.width) - self.narrowest
        widths = at_least_fp32(self.score(hidden)).index_select(-1, index)
        if self.monotonic:
            widths = widths.masked_fill(jumps < 0, MASKED_LOGIT)
        # Windows of this vector, the last of which is the row of jumps from −1: no copy, and a
        # gradient that takes half the time of that of an index for each pair.
        return widths.unfold(-1, source, 1).flip(-2) + scores.unsqueeze(-2)
