"""Masking of padded source positions."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

MASKED_LOGIT = -1e4
"""Logit of a padded position.

It is finite, because −inf turns the gradient of a KL divergence into NaN (0 · −inf), and so far
below all other logits that its probability is exactly zero in fp32, fp64 and bf16.
"""


def mask_logits(
    logits: Float[Tensor, "*shape source"],
    mask: Bool[Tensor, "*broad source"],
    value: float = MASKED_LOGIT,
) -> Float[Tensor, "*shape source"]:
    """Set logits to a finite ``value`` where ``mask`` is false; ``mask`` is broadcast."""
    return logits.masked_fill(~mask, value)
