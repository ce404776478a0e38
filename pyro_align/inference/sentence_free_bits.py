"""Free bits of latent variables of whole sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Independent, kl_divergence

from pyro_align.constraints import NonNegative
from pyro_align.distributions import at_least_fp32
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.inference.free_bits import checked_free_bits, free_bits
from pyro_align.inference.objective import Objective
from pyro_align.inference.sites import divergence, other_latents
from pyro_align.inference.traces import Traces, program_name, total


class SentenceFreeBits(Objective):
    """Base class of objectives with free bits for the latent sites besides the alignment.

    Args:
        free_bits: divergence of each latent site of a sentence, in nats, that is not penalised.
        free_bits_per_dimension: the same for each dimension of the site, whose divergence is
            averaged over the sentences of a batch first (Kingma et al. 2016, section 4).
    """

    def __init__(self, *, free_bits: NonNegative = 0.0, free_bits_per_dimension: NonNegative = 0.0):
        super().__init__()
        if free_bits and free_bits_per_dimension:
            raise ConfigError(
                "free_bits and free_bits_per_dimension cannot be combined: set one of them to 0"
            )
        self.free_bits = checked_free_bits(free_bits)
        self.free_bits_per_dimension = checked_free_bits(free_bits_per_dimension)

    def _penalties(
        self, traces: Traces, divergences: Mapping[str, Float[Tensor, ""]]
    ) -> Mapping[str, Float[Tensor, ""]]:
        """Apply the free bits to the divergence of each site."""
        if not (self.free_bits or self.free_bits_per_dimension):
            return divergences
        of_model = other_latents(traces.model_trace)
        return {
            name: self._penalty(site, of_model[name], program_name(traces.guide))
            for name, site in other_latents(traces.guide_trace).items()
        }

    def _penalty(self, guide_site: Any, model_site: Any, guide: str) -> Float[Tensor, ""]:
        if self.free_bits:
            values = free_bits(divergence(guide_site, model_site), self.free_bits)
            return total(values, guide_site)
        q, p = guide_site["fn"], model_site["fn"]
        if not (isinstance(q, Independent) and isinstance(p, Independent)):
            raise IncompatibleError(
                f"free_bits_per_dimension needs independent dimensions, but the site "
                f"{guide_site['name']!r} of {guide} is a {type(q).__name__}: use free_bits"
            )
        by_dimension = at_least_fp32(kl_divergence(q.base_dist, p.base_dist))
        means = by_dimension.flatten(end_dim=-2).mean(0)
        sentences = by_dimension[..., 0].numel()
        penalty = free_bits(means, self.free_bits_per_dimension).sum()
        return sentences * guide_site["scale"] * penalty

    def remedies(self) -> list[str]:
        """Free bits."""
        if self.free_bits or self.free_bits_per_dimension:
            return []
        return ["free bits (objective.free_bits=3)"]
