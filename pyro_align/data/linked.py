"""Sentence pairs with links between their tokens, for guided alignment."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import final

import numpy as np
import torch
from numpy.typing import ArrayLike

from pyro_align.data.batch import TextBatch
from pyro_align.data.index import IndexedCorpus
from pyro_align.data.links import Link


@final
class LinkedCorpus:
    """An indexed corpus whose batches have links; they take 8 bytes of memory each.

    Args:
        corpus: the sentence pairs.
        links: links between the tokens of each pair, in the same order.

    Attributes:
        source_lengths: source length of each pair with ``EOS``, int32.
        target_lengths: target length of each pair with ``EOS``, int32.
        skipped: number of pairs skipped as too long.
    """

    def __init__(self, corpus: IndexedCorpus, links: Iterable[Iterable[Link]]):
        self._corpus = corpus
        self.source_lengths = corpus.source_lengths
        self.target_lengths = corpus.target_lengths
        self.skipped = corpus.skipped
        arrays = [np.array(sorted(each), dtype=np.int32).reshape(-1, 2) for each in links]
        if len(arrays) != len(corpus):
            raise ValueError(f"links of {len(arrays)} pairs, but there are {len(corpus)}")
        self._ends = np.cumsum([len(each) for each in arrays])
        self._links = np.concatenate(arrays)

    def __len__(self) -> int:
        return len(self._corpus)

    def batch(self, indices: ArrayLike) -> TextBatch:
        """Return a padded batch of pairs with links, in the order given.

        Args:
            indices: 0-based positions of pairs, at least one.
        """
        batch = self._corpus.batch(indices)
        links = torch.zeros(*batch.target.shape, batch.source.shape[1], dtype=torch.bool)
        for row, index in enumerate(batch.indices.tolist()):
            start = self._ends[index - 1] if index else 0
            source, target = torch.from_numpy(self._links[start : self._ends[index]]).long().T
            links[row, target, source] = True
        return dataclasses.replace(batch, links=links)
