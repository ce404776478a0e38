"""Masking of source positions that are padding."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

MASKED_LOGIT = -1e4
"""Logit of a position that does not exist.

Finite, for −inf turns the gradient of a KL divergence into NaN (0 · −inf), and so far below every
real logit that its probability is exactly zero in fp32, in fp64 and in bf16.
"""


def mask_logits(
    logits: Float[Tensor, "*shape source"], mask: Bool[Tensor, "*broad source"]
) -> Float[Tensor, "*shape source"]:
    """Logits with :data:`MASKED_LOGIT` wherever ``mask`` is false; ``mask`` is broadcast."""
    return logits.masked_fill(~mask, MASKED_LOGIT)
