"""The attention layer: queries, memory and mask to a distribution over memory positions."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from pyro_align.distributions import at_least_fp32, mask_logits
from pyro_align.errors import ConfigError
from pyro_align.nn.alignment import Alignment
from pyro_align.nn.scorers import SCORERS, Scorer

MASKED_SCORE = -1e30
"""Score of padding. Scores are in fp32 or better, so that it can be finite and still lie below the
log likelihood of whatever a target is, a density of many dimensions for instance."""


class LatentAttention(nn.Module):
    """Attention whose weights are the prior of a latent alignment (Deng et al. 2018).

    With more than one head, one is latent and the others are soft: their expected contexts
    (scaled dot-product attention, Vaswani et al. 2017) are appended to the queries that an
    emission reads.

    Args:
        query: size of a query.
        memory: size of a row of the memory.
        scorer: ``dot``, ``general``, ``scaled`` or ``mlp``, or a :class:`Scorer` of your own.
        hidden: units of the ``mlp`` and ``scaled`` scorers; the size of a query by default.
        heads: number of heads, the latent one included.

    Attributes:
        query_size: size of the queries that an emission reads, ``Alignment.queries``.

    Raises:
        ConfigError: if the scorer is unknown or does not fit the sizes, or there are fewer than
            one or more than ``query`` heads.

    Example::

        attention = LatentAttention(query=256, memory=512)
        alignment = attention(queries, memory, mask)
        loss = -alignment.log_marginal(emission, target)[target_mask].sum()
    """

    def __init__(
        self,
        query: int,
        memory: int,
        scorer: str | Scorer = "mlp",
        *,
        hidden: int | None = None,
        heads: int = 1,
    ):
        super().__init__()
        if isinstance(scorer, str):
            if scorer not in SCORERS:
                raise ConfigError(f"unknown scorer {scorer!r}: choose one of {', '.join(SCORERS)}")
            scorer = SCORERS[scorer](query, memory, hidden or query)
        if not 1 <= heads <= query:
            raise ConfigError(f"heads = {heads}: give a number from 1 to the query size ({query})")
        size = query // heads
        self.scorer = scorer
        self.soft_heads = SoftHeads(query, memory, heads - 1, size) if heads > 1 else None
        self.query_size = query + (heads - 1) * size

    def keys(
        self, memory: Float[Tensor, "batch source memory"]
    ) -> Float[Tensor, "batch source key"]:
        """What the scores need of the memory; compute it once if :meth:`forward` runs per step."""
        keys: Tensor = self.scorer.keys(memory)
        return keys

    def forward(
        self,
        queries: Float[Tensor, "batch target query"],
        memory: Float[Tensor, "batch source memory"],
        mask: Bool[Tensor, "batch source"] | Bool[Tensor, "batch #target source"] | None = None,
        *,
        keys: Float[Tensor, "batch source key"] | None = None,
    ) -> Alignment:
        """Prior distribution of the alignment of each query.

        Args:
            queries: a row for each target position, decoder states for instance.
            memory: a row for each source position; padding must be finite.
            mask: true on positions that exist, for all queries alike or for each.
            keys: :meth:`keys` of the memory, if they have been computed.
        """
        scores = at_least_fp32(self.scorer(queries, self.keys(memory) if keys is None else keys))
        if mask is not None:
            mask = mask if mask.dim() == 3 else mask.unsqueeze(1)
            scores = mask_logits(scores, mask, MASKED_SCORE)
        if self.soft_heads is not None:
            queries = self.soft_heads(queries, memory, mask)
        return Alignment(scores.log_softmax(-1), queries, memory)


class SoftHeads(nn.Module):
    """Scaled dot-product attention of several heads, appended to the queries.

    Args:
        query: size of a query.
        memory: size of a row of the memory.
        heads: number of heads.
        size: features of a head.
    """

    def __init__(self, query: int, memory: int, heads: int, size: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(query, heads * size)
        self.key = nn.Linear(memory, heads * size)
        self.value = nn.Linear(memory, heads * size)

    def forward(
        self,
        queries: Float[Tensor, "batch target query"],
        memory: Float[Tensor, "batch source memory"],
        mask: Bool[Tensor, "batch #target source"] | None,
    ) -> Float[Tensor, "batch target wider"]:
        """Queries, and the expected context of every head."""
        query, key, value = (
            each.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for each in (self.query(queries), self.key(memory), self.value(memory))
        )
        if mask is not None:
            mask = mask.unsqueeze(1)
        contexts = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return torch.cat([queries, contexts.transpose(1, 2).flatten(2)], -1)
