"""`Translations`: distributions of target symbols given each source symbol."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, final

import torch
from jaxtyping import Float, Int
from pyro.distributions import Categorical, TorchDistribution
from torch import Tensor
from torch.distributions import constraints


class Table(Protocol):
    """Translation probabilities of words or characters.

    Attributes:
        width: number of target ids, including 0.
    """

    width: int

    def log_probs(
        self, source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"]
    ) -> Float[Tensor, "*b t one_more"]:
        """Return log probabilities of targets given none (first) and each source."""

    def table(self, source: Int[Tensor, "*b"]) -> Float[Tensor, "*b v"]:
        """Return probabilities of all targets given sources; id 0 is none."""


@final
class Translations(TorchDistribution):
    """Distributions of target words, for each target position and source word.

    Args:
        lexicon: translation probabilities.
        source: source words, padded.
        length: number of target positions.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, lexicon: Table, source: Int[Tensor, "b s"], length: int):
        self.lexicon = lexicon
        self.source = source
        batch, width = source.shape
        super().__init__(torch.Size((batch, length, 1 + width)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Ids of target words."""
        return constraints.integer_interval(1, self.lexicon.width - 1)

    def log_prob(self, value: Int[Tensor, "b t 1"]) -> Float[Tensor, "b t one_more"]:
        """Return log probabilities of one word per position, given null and each source word."""
        return self.lexicon.log_probs(self.source, value.squeeze(-1))

    def sample(self, sample_shape: Any = torch.Size()) -> Int[Tensor, "..."]:  # noqa: B008
        """Sample a word from each distribution."""
        from_null = torch.zeros_like(self.source[:, :1])
        table = self.lexicon.table(torch.cat([from_null, self.source], dim=1))
        drawn = Categorical(table).expand(
            (self.batch_shape[1], self.batch_shape[0], self.batch_shape[2])
        )
        return drawn.sample(sample_shape).transpose(-3, -2)
