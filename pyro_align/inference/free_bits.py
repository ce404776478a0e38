"""Free bits: a minimum KL divergence that is not penalised."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from pyro_align.errors import ConfigError


def free_bits(kl: Float[Tensor, "*shape"], nats: float) -> Float[Tensor, "*shape"]:
    """Return ``max(KL, λ)`` per position (Kingma et al. 2016, section 4 and appendix C.8).

    A divergence below λ is not reduced any further, which keeps the guide from collapsing to the
    prior. Kingma et al. apply the minimum to groups of latent variables, averaged over the
    minibatch; here each target position is a group of its own, so that the loss of a sentence does
    not depend on the other sentences of the batch.

    Args:
        kl: KL divergence per position.
        nats: λ; 0 returns ``kl`` unchanged, including rounding errors below zero.
    """
    return kl.clamp_min(nats) if nats > 0 else kl


def checked_free_bits(nats: float) -> float:
    """Check and return the option ``free_bits``.

    Raises:
        ConfigError: if it is negative or not finite.
    """
    if not 0 <= nats < math.inf:
        raise ConfigError(
            f"free_bits, in nats per target position, must be finite and 0 or more; got {nats}"
        )
    return nats


def elbo_label(nats: float) -> str:
    """Return the name of the evidence lower bound with free bits, for tables and figures."""
    return f"ELBO, {nats:g} free bits" if nats else "ELBO"


def free_bits_remedy(nats: float) -> list[str]:
    """Return free bits as a remedy for posterior collapse, unless they are in use."""
    return [] if nats else ["free bits (objective.free_bits=0.1)"]
