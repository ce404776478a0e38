"""Attention scorers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pyro_align.distributions import at_least_fp32
from pyro_align.errors import ConfigError


class Scorer(nn.Module, ABC):
    """Base class of attention scorers: unnormalised scores of annotations for decoder states.

    The part that depends on the source only is computed once per sentence by :meth:`keys`.
    """

    @abstractmethod
    def keys(
        self, annotations: Float[Tensor, "batch source annotation"]
    ) -> Float[Tensor, "batch source key"]:
        """Compute the keys of the annotations."""

    @abstractmethod
    def forward(
        self,
        hidden: Float[Tensor, "batch target hidden"],
        keys: Float[Tensor, "batch source key"],
    ) -> Float[Tensor, "batch target source"]:
        """Compute the unnormalised score of every source position for every decoder state."""


class DotScorer(Scorer):
    """``h · m`` (Luong et al. 2015, equation 8, *dot*); annotations and states of equal size."""

    def __init__(self, hidden: int, annotation: int, attention_hidden: int):
        super().__init__()
        if hidden != annotation:
            raise ConfigError(
                f"attention 'dot' needs queries ({hidden} features) as large as rows of the memory "
                f"({annotation}): set network.decoder_hidden to twice network.encoder_hidden (for "
                f"questions, network.hidden to twice network.region_size), or use 'general' or "
                f"'mlp'"
            )

    def keys(self, annotations: Tensor) -> Tensor:
        """Return the annotations unchanged."""
        return annotations

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """Compute ``h · m``."""
        return _inner_products(hidden, keys)


class GeneralScorer(Scorer):
    """``h · W m`` (Luong et al. 2015, equation 8, *general*)."""

    def __init__(self, hidden: int, annotation: int, attention_hidden: int):
        super().__init__()
        self.projection = nn.Linear(annotation, hidden, bias=False)

    def keys(self, annotations: Tensor) -> Tensor:
        """Compute ``W m``."""
        projected: Tensor = self.projection(annotations)
        return projected

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """Compute ``h · W m``."""
        return _inner_products(hidden, keys)


class ScaledScorer(Scorer):
    """``W h · U m / √d`` with ``d`` features (Vaswani et al. 2017, section 3.2.1): one head.

    For states and annotations of unit variance, such as those of a Transformer, whose products
    would otherwise grow with their size.
    """

    def __init__(self, hidden: int, annotation: int, attention_hidden: int):
        super().__init__()
        self.query = nn.Linear(hidden, attention_hidden)
        self.key = nn.Linear(annotation, attention_hidden, bias=False)
        self.scale = attention_hidden**-0.5

    def keys(self, annotations: Tensor) -> Tensor:
        """Compute ``U m / √d``."""
        projected: Tensor = self.key(annotations) * self.scale
        return projected

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """Compute ``W h · U m / √d``."""
        return _inner_products(self.query(hidden), keys)


class MLPScorer(Scorer):
    """``v · tanh(W h + U m)`` (Bahdanau et al. 2015, appendix A.1.2)."""

    def __init__(self, hidden: int, annotation: int, attention_hidden: int):
        super().__init__()
        self.query = nn.Linear(hidden, attention_hidden)
        self.key = nn.Linear(annotation, attention_hidden, bias=False)
        self.energy = nn.Linear(attention_hidden, 1, bias=False)

    def keys(self, annotations: Tensor) -> Tensor:
        """Compute ``U m``."""
        projected: Tensor = self.key(annotations)
        return projected

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """Compute ``v · tanh(W h + U m)``."""
        units = torch.tanh(self.query(hidden).unsqueeze(2) + keys.unsqueeze(1))
        energies: Tensor = self.energy(units)
        return energies.squeeze(-1)


SCORERS: dict[str, type[Scorer]] = {
    "dot": DotScorer,
    "general": GeneralScorer,
    "scaled": ScaledScorer,
    "mlp": MLPScorer,
}
"""Scorers by their name in a configuration."""


def _inner_products(
    hidden: Float[Tensor, "batch target key"], keys: Float[Tensor, "batch source key"]
) -> Float[Tensor, "batch target source"]:
    """Compute inner products in fp32 or better: sums over many features overflow in fp16."""
    with torch.autocast(hidden.device.type, enabled=False):
        return at_least_fp32(hidden) @ at_least_fp32(keys).transpose(1, 2)
