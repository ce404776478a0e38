"""Merge alignments of subword pieces to alignments of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class WordAlignment:
    """Alignment probabilities between the words of one sentence pair.

    Each row of ``weights`` and its entry of ``null`` sum to 1 if the rows of the merged matrix do;
    a target word without pieces has zeros.

    Attributes:
        weights: probability that a target word aligns to a source word.
        null: probability that a target word aligns to no word: the weight of the source ``EOS``.
        gain: log probability of the target words given the source words, minus that without source
            words, in nats per target word; None if the model does not compute it.
    """

    weights: Float[Tensor, "target_word source_word"]
    null: Float[Tensor, " target_word"]
    gain: float | None = None


def merge_pieces(
    matrix: Float[Tensor, "target source"],
    target_index: Sequence[int],
    source_index: Sequence[int],
    target_words: int,
    source_words: int,
) -> WordAlignment:
    """Sum probabilities over the pieces of source words, average over those of target words.

    Args:
        matrix: alignment probabilities between the pieces of one sentence pair, unpadded.
        target_index: 0-based word of each target piece; −1 for ``EOS``, whose row is dropped.
        source_index: 0-based word of each source piece; the column of ``EOS`` becomes ``null``.
        target_words: number of target words, including those without pieces.
        source_words: number of source words, including those without pieces.

    Raises:
        ValueError: if an index does not have one entry for each row or column.
    """
    if matrix.shape != (len(target_index), len(source_index)):
        raise ValueError(
            f"the matrix has shape {tuple(matrix.shape)}, but the indices are for "
            f"{(len(target_index), len(source_index))} pieces"
        )
    # Shift by 1, so that EOS, numbered −1, comes first.
    rows = torch.as_tensor(target_index, device=matrix.device) + 1
    columns = torch.as_tensor(source_index, device=matrix.device) + 1
    summed = matrix.new_zeros(len(matrix), source_words + 1).index_add_(1, columns, matrix)
    total = matrix.new_zeros(target_words + 1, source_words + 1).index_add_(0, rows, summed)
    pieces = rows.bincount(minlength=target_words + 1).clamp_min(1)
    mean = total / pieces.unsqueeze(1)
    return WordAlignment(weights=mean[1:, 1:], null=mean[1:, 0])


def mean_alignment(alignments: Sequence[WordAlignment]) -> WordAlignment:
    """Average alignment probabilities of one sentence pair, such as those of several models."""
    return WordAlignment(
        weights=torch.stack([one.weights for one in alignments]).mean(0),
        null=torch.stack([one.null for one in alignments]).mean(0),
    )
