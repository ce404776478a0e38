"""A vector of a sentence from the annotations of its positions."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def pooled(
    annotations: Float[Tensor, "batch length annotation"], mask: Bool[Tensor, "batch length"]
) -> Float[Tensor, "batch annotation"]:
    """Return the maximum over the positions of each sentence, without padding."""
    return annotations.masked_fill(~mask.unsqueeze(-1), -float("inf")).amax(1)
