"""Examples that are vectors, such as images, without a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from pyro_align.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class VectorBatch(Batch):
    """A batch of vectors.

    Models read :attr:`vectors`. Each has one source and one target position without content, so
    that means per target position are means per vector.

    Attributes:
        vectors: the vectors.
    """

    vectors: Float[Tensor, "batch size"]

    @classmethod
    def of(
        cls, vectors: Float[Tensor, "batch size"], indices: Int[Tensor, " batch"] | None = None
    ) -> VectorBatch:
        """Create a batch.

        Args:
            vectors: the vectors.
            indices: their positions in the data set; None for 0, 1, ….
        """
        count = len(vectors)
        mask = torch.ones(count, 1, dtype=torch.bool, device=vectors.device)
        lengths = torch.ones(count, dtype=torch.long)
        return cls(
            vectors=vectors,
            target=torch.zeros(count, 1, dtype=torch.long, device=vectors.device),
            source_mask=mask,
            target_mask=mask,
            source_lengths=lengths,
            target_lengths=lengths,
            indices=torch.arange(count) if indices is None else indices,
        )


@final
class VectorExamples:
    """A data set of vectors, for training and validation.

    Args:
        vectors: the vectors, one a row.
    """

    def __init__(self, vectors: Float[Tensor, "example size"]):
        self.vectors = vectors
        self.source_lengths = np.ones(len(vectors), np.int32)
        self.target_lengths = np.ones(len(vectors), np.int32)

    def __len__(self) -> int:
        return len(self.vectors)

    def batch(self, indices: ArrayLike) -> VectorBatch:
        """Return a batch of examples, given by their positions."""
        rows = torch.as_tensor(np.asarray(indices), dtype=torch.long)
        return VectorBatch.of(self.vectors[rows], rows)
