"""Batches of pairs of similar length, shuffled by seed and epoch, and a resumable loader."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_align.data.batch import Batch
from pyro_align.data.lengths import batches_by_length
from pyro_align.errors import ConfigError, RunError

Indices = NDArray[np.int32]

_POOL_WIDTH = 0.9
"""Minimum width of a pair in a pool, as a fraction of the width of the widest pair."""
_POOL_BATCHES = 2
"""Minimum number of batches in a pool, even if its pairs differ in width: in a small corpus the
same few pairs would otherwise be grouped together in every epoch."""
_JITTER = 0.1
"""Random noise, in widths, added when a pool is sorted by which side is longer. On sentence lengths
like those of German and English, sorting removes a third of the padding of the shorter side, while
the noise keeps batches different from epoch to epoch."""
_PREFETCH = 4


@runtime_checkable
class Examples(Protocol):
    """Training or validation examples of a task, such as an :class:`IndexedCorpus`.

    Attributes:
        source_lengths: number of source positions of each example, int32.
        target_lengths: number of target positions of each example, int32.
    """

    source_lengths: NDArray[np.int32]
    target_lengths: NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of examples."""

    def batch(self, indices: ArrayLike) -> Batch:
        """Return a padded batch of examples, given by their 0-based positions, in that order."""


@final
class BucketBatches:
    """Assign sentence pairs to batches, as a function of the epoch only.

    The width of a pair is the length of its longer side; the width of a batch is that of its widest
    pair. Pairs are sorted by width, widest first, and divided into pools of similar width. In each
    epoch, every pool is shuffled and cut into batches, and the batches are shuffled. The cuts
    depend only on the widths, so every epoch has the same number of batches of the same sizes. Each
    batch is as large as ``tokens`` allows for its pool, except the last batch of the shortest
    pairs.

    With several processes, each batch is split among them, every ``world_size``-th pair to each, so
    that together they process the same pairs in each step as a single process would. If fewer than
    ``world_size`` pairs would fit into a batch, it holds ``world_size`` pairs, one per process; if
    the last batch has fewer pairs, it is merged with the previous one.

    Args:
        source_lengths: source length of each pair, in tokens.
        target_lengths: target length of each pair, in tokens.
        tokens: maximum size of a batch: number of pairs times width.
        seed: non-negative random seed for shuffling.
        shuffle: if False, every epoch has the same batches, widest first.
        rank: rank of this process.
        world_size: number of processes.
        max_sentences: maximum number of pairs in a batch; None for no limit.

    Raises:
        ConfigError: if a single pair is wider than ``tokens``, or there are fewer pairs than
            processes.
    """

    def __init__(
        self,
        source_lengths: NDArray[np.int32],
        target_lengths: NDArray[np.int32],
        *,
        tokens: int,
        seed: int,
        shuffle: bool,
        rank: int = 0,
        world_size: int = 1,
        max_sentences: int | None = None,
    ):
        widths = np.maximum(source_lengths, target_lengths)
        if len(widths) < world_size:
            raise ConfigError(
                f"{len(widths)} sentence pairs cannot be split among {world_size} processes: use "
                "fewer devices"
            )
        if (widest := int(widths.max())) > tokens:
            raise ConfigError(
                f"a pair of {widest} tokens does not fit into a batch of {tokens} tokens: increase "
                f"training.batch_tokens to {widest} or more, or reduce data.max_length"
            )
        if max_sentences is not None and max_sentences < world_size:
            raise ConfigError(
                f"batches of at most {max_sentences} pairs cannot be split among {world_size} "
                "processes: increase this limit, or use fewer devices"
            )
        self._seed = seed
        self._shuffle = shuffle
        self._rank = rank
        self._world_size = world_size
        self._order = np.argsort(-widths, kind="stable").astype(np.int32)
        self._balance = ((source_lengths - target_lengths) / widths).astype(np.float32)
        limit = len(widths) if max_sentences is None else max_sentences
        self._pools, self._cuts = _cut(widths[self._order], tokens, limit, world_size)

    def __len__(self) -> int:
        """Number of batches per epoch, the same for every epoch and process."""
        return len(self._cuts) + 1

    def batches(self, epoch: int) -> list[Indices]:
        """Yield this process's part of every batch of an epoch; no part is empty."""
        random = np.random.Generator(np.random.PCG64([self._seed, epoch]))
        order = self._order
        if self._shuffle:
            pools = np.split(order, self._pools)
            order = np.concatenate([self._shuffled(pool, random) for pool in pools])
        batches = np.split(order, self._cuts)
        if self._shuffle:
            batches = [batches[i] for i in random.permutation(len(batches))]
        return [batch[self._rank :: self._world_size] for batch in batches]

    def _shuffled(self, pool: Indices, random: np.random.Generator) -> Indices:
        pool = random.permutation(pool)
        key = self._balance[pool] + random.uniform(-_JITTER, _JITTER, len(pool))
        return pool[np.argsort(key, kind="stable")]


def _cut(
    widths: NDArray[np.int32], tokens: int, limit: int, world_size: int
) -> tuple[list[int], list[int]]:
    """Start indices of pools and batches, except the first, for non-increasing widths."""
    pools: list[int] = []
    cuts: list[int] = []
    rising = -widths
    start = 0
    while start < len(widths):
        width = int(widths[start])
        size = max(world_size, min(limit, tokens // width))
        alike = int(np.searchsorted(rising, -_POOL_WIDTH * width, side="right")) - start
        # Only full batches: remaining pairs start the next pool, where they fit too.
        end = min(start + size * max(_POOL_BATCHES, alike // size), len(widths))
        pools.append(start)
        cuts.extend(range(start, end, size))
        start = end
    if len(widths) - cuts[-1] < world_size:
        last = cuts.pop()
        pools = [pool for pool in pools if pool < last]
        part = -(-(len(widths) - cuts[-1]) // world_size)
        if part * widths[pools[-1]] > tokens:
            raise ConfigError(
                f"{len(widths)} pairs of up to {widths[0]} tokens cannot be split among "
                f"{world_size} processes in batches of {tokens} tokens: increase "
                f"training.batch_tokens to {part * widths[pools[-1]]} or more"
            )
    return pools[1:], cuts[1:]


@final
class BatchLoader:
    """A resumable loader of the batches of a corpus, over several epochs.

    Each iteration runs from the current position to the end of the current epoch. The position
    counts batches that have been returned, not those prepared ahead by a thread; after the last
    batch of an epoch it is the start of the next epoch. ``iter`` can therefore be called any number
    of times without losing a batch, and a state saved after any batch continues with the next one.

    It implements Lightning's interface of a resumable loader: ``len``, ``state_dict``,
    ``load_state_dict``, and a ``sampler`` with ``set_epoch``. The last is needed because Lightning
    does not load the loader's state from a checkpoint taken between two epochs, but sets the epoch.

    Args:
        corpus: the sentence pairs.
        buckets: assignment of pairs to batches.
        pin_memory: copy batches to pinned memory, for transfer to a GPU.
    """

    def __init__(self, corpus: Examples, buckets: BucketBatches, pin_memory: bool = False):
        self._corpus = corpus
        self._buckets = buckets
        self._pin_memory = pin_memory
        self._epoch = 0
        self._position = 0
        self._started = False

    def __len__(self) -> int:
        """Number of batches of a complete epoch."""
        return len(self._buckets)

    def __iter__(self) -> Iterator[Batch]:
        epoch, schedule = self._epoch, self._buckets.batches(self._epoch)
        rest = iter(range(self._position, len(schedule)))
        worker = ThreadPoolExecutor(1, thread_name_prefix="batches")
        ahead: deque[Future[Batch]] = deque()

        def prepare(count: int) -> None:
            ahead.extend(worker.submit(self._prepare, schedule[i]) for i in islice(rest, count))

        # An iterator that is dropped early also runs `finally`; its thread ends after the current
        # batch.
        try:
            prepare(_PREFETCH)
            position = self._position
            while ahead:
                batch = ahead.popleft().result()
                prepare(1)
                self._started = True
                position += 1
                last = position == len(schedule)
                self._epoch, self._position = (epoch + 1, 0) if last else (epoch, position)
                yield batch
        finally:
            worker.shutdown(wait=False, cancel_futures=True)

    @property
    def sampler(self) -> BatchLoader:
        """The loader itself, which acts as its own sampler."""
        return self

    @property
    def batch_sampler(self) -> BatchLoader:
        """The loader itself, required by Lightning because it has a sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Start at an epoch, if no batch has been returned and no state loaded yet.

        Later the loader counts epochs itself, since trainers also count epochs without batches.
        """
        if not self._started:
            self._epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of its batches returned so far."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Restore a state; later iterations start from it.

        Raises:
            RunError: if an epoch has fewer batches, for example with other data or batch size.
        """
        epoch, position = int(state_dict["epoch"]), int(state_dict["position"])
        if epoch < 0 or not 0 <= position < len(self):
            raise RunError(
                f"batch {position} of epoch {epoch} does not exist: an epoch has {len(self)} "
                "batches; was the state saved with other data or another batch size?"
            )
        self._epoch, self._position = epoch, position
        self._started = True

    def _prepare(self, indices: Indices) -> Batch:
        batch = self._corpus.batch(indices)
        return batch.pin_memory() if self._pin_memory else batch


@final
class FixedBatches:
    """All batches of a corpus, in the same order in each iteration, for evaluation.

    In contrast, a :class:`BatchLoader` whose iteration was stopped early, for example by
    Lightning's sanity check, would continue from there.

    Args:
        corpus: the sentence pairs.
        buckets: assignment of pairs to batches; the batches of epoch 0 are used.
        pin_memory: copy batches to pinned memory, for transfer to a GPU.
    """

    def __init__(self, corpus: Examples, buckets: BucketBatches, pin_memory: bool = False):
        self._corpus = corpus
        self._buckets = buckets
        self._pin_memory = pin_memory

    def __len__(self) -> int:
        return len(self._buckets)

    def __iter__(self) -> Iterator[Batch]:
        batches = map(self._corpus.batch, self._buckets.batches(0))
        return map(Batch.pin_memory, batches) if self._pin_memory else batches


def all_batches(examples: Examples, tokens: int) -> Iterator[Batch]:
    """Yield all batches of examples once, widest first, for evaluation.

    Args:
        examples: the examples; ``indices`` of a batch are their positions.
        tokens: maximum number of positions per batch; a wider example has its own batch.
    """
    widths = np.maximum(examples.source_lengths, examples.target_lengths).tolist()
    for indices in batches_by_length(widths, tokens):
        yield examples.batch(indices)
