"""Batches of pairs of like length, shuffled by seed and epoch, and a loader that can resume."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import final

import numpy as np
from numpy.typing import NDArray

from pyro_align.batch import Batch
from pyro_align.corpus.index import IndexedCorpus
from pyro_align.errors import ConfigError, RunError

Indices = NDArray[np.int32]

_POOL_WIDTH = 0.9
"""Pairs of one pool are at least this fraction as wide as its widest."""
_POOL_BATCHES = 2
"""Batches that a pool has at least, however different its pairs: in a small corpus the same few
pairs would otherwise meet in every epoch."""
_JITTER = 0.1
"""How far chance moves a pair when a pool is sorted by which side is longer, in widths. On lengths
like those of German and English this takes a third off the padding of the shorter side, and leaves
batches that differ from epoch to epoch."""
_PREFETCH = 4


@final
class BucketBatches:
    """Which pairs meet in which batch, as a function of the epoch alone.

    The width of a pair is the length of its longer side, that of a batch is that of its widest
    pair. Pairs are sorted by width, widest first, and cut into pools of like width. Each epoch
    shuffles every pool, cuts it into batches, and shuffles the batches. The cuts depend on the
    widths only, so each epoch has the same number of batches of the same sizes; each is as large
    as ``tokens`` allows for its pool, but for the last of the shortest pairs.

    With several processes, each batch of the one-process schedule is split among them, every
    ``world_size``-th pair to each, so that together they see in each step exactly what one
    process would. Only where fewer than ``world_size`` pairs would fit into a batch does it hold
    ``world_size`` of them, one for each process; and the last batch joins the one before it if it
    has fewer.

    Args:
        source_lengths: source pieces per pair.
        target_lengths: target pieces per pair.
        tokens: most positions in a batch: its number of pairs times its width.
        seed: non-negative seed of the shuffling.
        shuffle: false for the same batches in each epoch, widest first.
        rank: number of this process.
        world_size: number of processes.
        max_sentences: most pairs in a batch, None for no such limit.

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
                f"a pair of {widest} pieces does not fit into a batch of {tokens} tokens: raise "
                f"the token budget to {widest} or more, or lower the greatest length"
            )
        if max_sentences is not None and max_sentences < world_size:
            raise ConfigError(
                f"batches of at most {max_sentences} pairs cannot be split among {world_size} "
                "processes: raise that limit, or use fewer devices"
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
        """Number of batches an epoch, the same for each epoch and each process."""
        return len(self._cuts) + 1

    def batches(self, epoch: int) -> list[Indices]:
        """This process's part of each batch of an epoch, none of them empty."""
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
    """Where pools and batches start, but for the first, in widths that do not increase."""
    pools: list[int] = []
    cuts: list[int] = []
    rising = -widths
    start = 0
    while start < len(widths):
        width = int(widths[start])
        size = max(world_size, min(limit, tokens // width))
        alike = int(np.searchsorted(rising, -_POOL_WIDTH * width, side="right")) - start
        # Whole batches only: what is left over begins the next pool, where it fits too.
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
                f"{len(widths)} pairs of up to {widths[0]} pieces cannot be split among "
                f"{world_size} processes in batches of {tokens} tokens: raise the token budget "
                f"to {part * widths[pools[-1]]} or more"
            )
    return pools[1:], cuts[1:]


@final
class BatchLoader:
    """The batches of a corpus, epoch after epoch, ready to go on where a killed run stopped.

    Each iteration runs from the current position to the end of the current epoch. The position
    counts batches handed out, not those that a thread prepares ahead; with the last batch of an
    epoch it is the start of the next one. So ``iter`` may be called any number of times without
    a batch being lost, and a state saved after any batch continues with the very next one.

    Has what Lightning asks of a resumable loader: ``len``, ``state_dict``, ``load_state_dict``,
    and a ``sampler`` with ``set_epoch``. It needs the last as well: from a checkpoint taken between
    two epochs it does not load the state of the loader, but announces the epoch that begins.

    Args:
        corpus: where the pairs are.
        buckets: which of them form a batch.
        pin_memory: put batches into page-locked memory, for a GPU to fetch.
    """

    def __init__(self, corpus: IndexedCorpus, buckets: BucketBatches, pin_memory: bool = False):
        self._corpus = corpus
        self._buckets = buckets
        self._pin_memory = pin_memory
        self._epoch = 0
        self._position = 0
        self._started = False

    def __len__(self) -> int:
        """Number of batches of a whole epoch."""
        return len(self._buckets)

    def __iter__(self) -> Iterator[Batch]:
        epoch, schedule = self._epoch, self._buckets.batches(self._epoch)
        rest = iter(range(self._position, len(schedule)))
        worker = ThreadPoolExecutor(1, thread_name_prefix="batches")
        ahead: deque[Future[Batch]] = deque()

        def prepare(count: int) -> None:
            ahead.extend(worker.submit(self._prepare, schedule[i]) for i in islice(rest, count))

        # An iterator dropped half-way runs the `finally` too: its thread ends with the batch at
        # hand.
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
        """The loader, being its own sampler."""
        return self

    @property
    def batch_sampler(self) -> BatchLoader:
        """The loader, which Lightning asks for when it has a sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Start at an epoch, if no batch has been handed out and no state loaded yet.

        Later the loader counts by itself: trainers count epochs in which nothing was left to do.
        """
        if not self._started:
            self._epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Epoch and number of its batches handed out so far."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go to a state; iterations that begin later start there.

        Raises:
            RunError: if no epoch has that many batches, as with other data or another budget.
        """
        epoch, position = int(state_dict["epoch"]), int(state_dict["position"])
        if epoch < 0 or not 0 <= position < len(self):
            raise RunError(
                f"batch {position} of epoch {epoch} does not exist: an epoch has {len(self)} "
                "batches; was the state saved with other data or another token budget?"
            )
        self._epoch, self._position = epoch, position
        self._started = True

    def _prepare(self, indices: Indices) -> Batch:
        batch = self._corpus.batch(indices)
        return batch.pin_memory() if self._pin_memory else batch


@final
class FixedBatches:
    """The batches of a corpus, all of them and in the same order in each iteration.

    For evaluation: a :class:`BatchLoader` that was left half-way, as Lightning's sanity check
    leaves it, would go on there.

    Args:
        corpus: where the pairs are.
        buckets: which of them form a batch; those of epoch 0 are taken.
        pin_memory: put batches into page-locked memory, for a GPU to fetch.
    """

    def __init__(self, corpus: IndexedCorpus, buckets: BucketBatches, pin_memory: bool = False):
        self._corpus = corpus
        self._buckets = buckets
        self._pin_memory = pin_memory

    def __len__(self) -> int:
        return len(self._buckets)

    def __iter__(self) -> Iterator[Batch]:
        batches = map(self._corpus.batch, self._buckets.batches(0))
        return map(Batch.pin_memory, batches) if self._pin_memory else batches
