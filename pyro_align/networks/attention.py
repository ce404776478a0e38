"""Attention scorers: how well a source position fits a decoder state, before the softmax."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pyro_align.errors import ConfigError


class Scorer(nn.Module, ABC):
    """Scores of source annotations for decoder states.

    What depends on the source alone is computed once a sentence by :meth:`keys`.
    """

    @abstractmethod
    def keys(
        self, annotations: Float[Tensor, "batch source annotation"]
    ) -> Float[Tensor, "batch source key"]:
        """What of the annotations the scores need."""

    @abstractmethod
    def forward(
        self,
        hidden: Float[Tensor, "batch target hidden"],
        keys: Float[Tensor, "batch source key"],
    ) -> Float[Tensor, "batch target source"]:
        """Unnormalised scores of every source position for every decoder state."""


class DotScorer(Scorer):
    """``h · m`` (Luong et al. 2015, equation 8, *dot*); needs annotations as wide as states."""

    def __init__(self, hidden: int, annotation: int, attention_hidden: int):
        super().__init__()
        if hidden != annotation:
            raise ConfigError(
                f"attention 'dot' needs decoder_hidden ({hidden}) equal to twice encoder_hidden "
                f"({annotation}): change one of them, or use 'general'"
            )

    def keys(self, annotations: Tensor) -> Tensor:
        """The annotations as they are."""
        return annotations

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """Inner products."""
        return hidden @ keys.transpose(1, 2)


class GeneralScorer(Scorer):
    """``h · W m`` (Luong et al. 2015, equation 8, *general*)."""

    def __init__(self, hidden: int, annotation: int, attention_hidden: int):
        super().__init__()
        self.projection = nn.Linear(annotation, hidden, bias=False)

    def keys(self, annotations: Tensor) -> Tensor:
        """``W m``."""
        projected: Tensor = self.projection(annotations)
        return projected

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """Inner products with the projected annotations."""
        return hidden @ keys.transpose(1, 2)


class MLPScorer(Scorer):
    """``v · tanh(W h + U m)`` (Bahdanau et al. 2015, appendix A.1.2)."""

    def __init__(self, hidden: int, annotation: int, attention_hidden: int):
        super().__init__()
        self.query = nn.Linear(hidden, attention_hidden)
        self.key = nn.Linear(annotation, attention_hidden, bias=False)
        self.energy = nn.Linear(attention_hidden, 1, bias=False)

    def keys(self, annotations: Tensor) -> Tensor:
        """``U m``."""
        projected: Tensor = self.key(annotations)
        return projected

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """Energies of the sums."""
        units = torch.tanh(self.query(hidden).unsqueeze(2) + keys.unsqueeze(1))
        energies: Tensor = self.energy(units)
        return energies.squeeze(-1)


SCORERS: dict[str, type[Scorer]] = {"dot": DotScorer, "general": GeneralScorer, "mlp": MLPScorer}
"""Scorers by the name they have in a configuration."""
