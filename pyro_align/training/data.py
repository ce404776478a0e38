"""From a configuration to vocabularies and indexed corpora."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from pyro_align.config import Config, DataConfig, VocabularyConfig
from pyro_align.corpus import BucketBatches, IndexedCorpus, ParallelText, Vocabulary


def make_vocabularies(
    config: VocabularyConfig, text: ParallelText
) -> tuple[Vocabulary, Vocabulary]:
    """Source and target vocabulary, read where given, else trained on the training text.

    Raises:
        ConfigError: if the text supports no vocabulary of that size.
        DataError: if text or a given vocabulary cannot be used.
    """
    if config.source is not None and config.target is not None:
        return Vocabulary.load(config.source), Vocabulary.load(config.target)
    if config.joint:
        both = chain.from_iterable((pair.source, pair.target) for pair in text)
        vocabulary = Vocabulary.train(both, config.size, config.kind)
        return vocabulary, vocabulary
    return (
        Vocabulary.train((pair.source for pair in text), config.size, config.kind),
        Vocabulary.train((pair.target for pair in text), config.size, config.kind),
    )


def index(
    text: ParallelText,
    vocabularies: tuple[Vocabulary, Vocabulary],
    config: DataConfig,
    progress: Callable[[int], None] | None = None,
) -> IndexedCorpus:
    """The text as ids on disk, from the cache or made now.

    Raises:
        DataError: naming file and line of text that cannot be used.
    """
    return IndexedCorpus.ensure(
        text,
        *vocabularies,
        cache_folder(),
        max_length=config.max_length,
        skip_long=config.skip_long,
        progress=progress,
    )


def buckets(
    config: Config, corpus: IndexedCorpus, *, shuffle: bool, rank: int = 0, world_size: int = 1
) -> BucketBatches:
    """Which pairs meet in which batch.

    Args:
        config: seed and size of a batch.
        corpus: the pairs.
        shuffle: anew in every epoch.
        rank: number of this process.
        world_size: number of processes.

    Raises:
        ConfigError: if the longest pair does not fit into a batch, or there are more processes
            than pairs.
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


def cache_folder() -> Path:
    """Where indices are kept: ``$PYRO_ALIGN_CACHE``, else ``~/.cache/pyro-align``."""
    given = os.environ.get("PYRO_ALIGN_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "pyro-align"
