"""Candidates for the translation of each token, from the sentence pairs of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.data.batching import Examples
from pyro_align.errors import RunError
from pyro_align.files import atomic_write

PASSES = 5
"""Number of passes of expectation maximisation; more change few lists."""

SEEN = 2
"""Minimum number of sentence pairs in which a candidate and its source token occur. With 2, the
candidates of a training pair have been seen in another pair too, as those of other text have:
with 1 a model would learn that nearly every token is a candidate, which new text disproves."""

MOST_TOKENS = 1 << 22
"""Maximum number of target tokens of the pairs that are read."""

BATCH = 256
"""Number of sentence pairs of a batch."""


def translation_candidates(
    corpus: Examples, source_vocabulary: int, target_vocabulary: int, number: int
) -> Int[Tensor, "source_vocabulary number"]:
    """Find the most probable translations of each source token, by IBM model 1 (Brown et al. 1993).

    Model 1 has no alignment probabilities of its own, ``p(y_t | x) ∝ Σ_s θ(y_t | x_s)``, and a
    single optimum. Of a large text, evenly distributed pairs are read.

    Args:
        corpus: sentence pairs, as they are read in training.
        source_vocabulary: size of the source vocabulary.
        target_vocabulary: size of the target vocabulary.
        number: number of candidates of each source token.

    Returns:
        Target ids, the most probable first; −1 where fewer tokens occur with the source token in
        :data:`SEEN` sentence pairs.
    """
    step = max(1, -(-int(corpus.target_lengths.sum()) // MOST_TOKENS))
    rows = np.arange(0, len(corpus), step)
    lengths = corpus.source_lengths[rows] + corpus.target_lengths[rows]
    rows = rows[np.argsort(lengths, kind="stable")]
    codes, masks, once = [], [], []
    for start in range(0, len(rows), BATCH):
        batch: Any = corpus.batch(rows[start : start + BATCH])
        masks.append(batch.source_mask.unsqueeze(1) & batch.target_mask.unsqueeze(2))
        pairs = batch.source.unsqueeze(1) * target_vocabulary + batch.target.unsqueeze(2)
        codes.append(pairs[masks[-1]])
        width = source_vocabulary * target_vocabulary
        row = torch.arange(len(pairs)).reshape(-1, 1, 1)
        once.append((row * width + pairs)[masks[-1]].unique() % width)
    sizes = [len(each) for each in codes]
    found, inverse = torch.unique(torch.cat(codes), return_inverse=True)
    seen = torch.unique(torch.cat(once), return_counts=True)[1] >= SEEN
    source, target = found // target_vocabulary, found % target_vocabulary
    probs = torch.ones(len(found))
    for _ in range(PASSES):
        counts = torch.zeros(len(found))
        for places, mask in zip(inverse.split(sizes), masks, strict=True):
            share = torch.zeros(mask.shape).masked_scatter_(mask, probs[places])
            share /= share.sum(-1, keepdim=True).clamp_min(torch.finfo(share.dtype).tiny)
            counts.index_add_(0, places, share[mask])
        totals = torch.zeros(source_vocabulary).index_add_(0, source, counts)
        probs = counts / totals[source]
    return _best(source[seen], target[seen], probs[seen], source_vocabulary, number)


def _best(
    source: Int[Tensor, " pair"],
    target: Int[Tensor, " pair"],
    probs: Float[Tensor, " pair"],
    source_vocabulary: int,
    number: int,
) -> Int[Tensor, "source_vocabulary number"]:
    """Return the targets of each source with the largest probabilities; −1 for none."""
    order = probs.argsort(descending=True, stable=True)
    order = order[source[order].argsort(stable=True)]
    source, target = source[order], target[order]
    first = torch.searchsorted(source, torch.arange(source_vocabulary))
    rank = torch.arange(len(source)) - first[source]
    kept = rank < number
    best = torch.full((source_vocabulary, number), -1)
    best[source[kept], rank[kept]] = target[kept]
    return best


def save_candidates(path: Path, candidates: Int[Tensor, "source_vocabulary number"]) -> None:
    """Write candidates to a ``.npy`` file."""
    with atomic_write(path) as file:
        np.save(file, candidates.numpy().astype(np.int32), allow_pickle=False)


def load_candidates(path: Path) -> Int[Tensor, "source_vocabulary number"]:
    """Read what :func:`save_candidates` has written.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False).astype(np.int64))
    except FileNotFoundError:
        raise RunError(f"{path}: missing; copy the run again") from None
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"{path}: damaged ({error}); copy the run again") from None
