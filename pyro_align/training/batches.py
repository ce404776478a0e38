"""Batches of a configuration."""

from __future__ import annotations

from pyro_align.config import Config
from pyro_align.data import BucketBatches, Examples


def buckets(
    config: Config, corpus: Examples, *, shuffle: bool, rank: int = 0, world_size: int = 1
) -> BucketBatches:
    """Create the sampler that groups examples into batches.

    Args:
        config: configuration with seed and batch size.
        corpus: the examples.
        shuffle: reshuffle in every epoch.
        rank: rank of this process.
        world_size: number of processes.

    Raises:
        ConfigError: if the longest example does not fit into a batch, or there are more processes
            than examples.
    """
    return BucketBatches(
        corpus.source_lengths,
        corpus.target_lengths,
        tokens=config.training.batch_tokens,
        seed=config.seed,
        shuffle=shuffle,
        rank=rank,
        world_size=world_size,
    )
