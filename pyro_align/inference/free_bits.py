"""Free bits: a part of the KL divergence that costs nothing."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from pyro_align.errors import ConfigError


def free_bits(kl: Float[Tensor, "*shape"], nats: float) -> Float[Tensor, "*shape"]:
    """``max(KL, λ)`` for every target position (Kingma et al. 2016, section 4 and appendix C.8).

    A guide gains nothing by coming nearer to the prior than λ, which keeps it from collapsing to
    it. There the minimum is taken of a group of latent variables and of its mean over the
    minibatch; here each position of each sentence is a group, so that a sentence's loss does not
    depend on the batch it is in.

    Args:
        kl: divergence of each position.
        nats: λ; with 0 the divergence stays as it is, rounding below zero included.
    """
    return kl.clamp_min(nats) if nats > 0 else kl


def checked_free_bits(nats: float) -> float:
    """The option ``free_bits``.

    Raises:
        ConfigError: if it is negative or not finite.
    """
    if not 0 <= nats < math.inf:
        raise ConfigError(f"free_bits are nats a target position, 0 or more; got {nats}")
    return nats
