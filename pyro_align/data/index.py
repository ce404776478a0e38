"""`IndexedCorpus`: encoded sentence pairs on disk, read in batches without loading the corpus."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pyro_align.data.batch import PAD, TextBatch
from pyro_align.data.index_files import (
    FORMAT,
    Header,
    IdArray,
    IdFile,
    IndexWriter,
    read_header,
    read_table,
)
from pyro_align.data.noise import Noise
from pyro_align.data.text import ParallelText, SentencePair
from pyro_align.data.vocabulary import Vocabulary
from pyro_align.errors import DataError, RunError

Progress = Callable[[int], None]
"""Callback that receives the number of pairs read so far."""

_CHUNK = 10_000


class Encoding(NamedTuple):
    """How text is encoded as ids, and which pairs are too long.

    Attributes:
        source: vocabulary of the source side.
        target: vocabulary of the target side.
        max_length: maximum length of a side in tokens, including ``EOS``.
        skip_long: skip and count longer pairs instead of raising an error.
    """

    source: Vocabulary
    target: Vocabulary
    max_length: int
    skip_long: bool = False

    def fingerprint(self, text: ParallelText) -> str:
        """SHA-256 of the text, the encoding, and the version of the files."""
        parts = (
            FORMAT,
            text.fingerprint(),
            self.source.fingerprint(),
            self.target.fingerprint(),
            self.max_length,
            self.skip_long,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()


@final
class IndexedCorpus:
    """Ids of sentence pairs in memory, or on disk with 20 bytes of memory per pair.

    Args:
        ids: concatenated ids: source, target, source, target, ….
        pairs: source length, target length and line of each pair, one row per pair.
        skipped: see below.

    Attributes:
        source_lengths: source length of each pair with ``EOS``, int32.
        target_lengths: target length of each pair with ``EOS``, int32.
        lines: 1-based line of each pair in its text, int32.
        skipped: number of pairs skipped as too long.
    """

    def __init__(self, ids: IdArray | IdFile, pairs: NDArray[np.int32], skipped: int = 0):
        self._ids = ids
        self.source_lengths = pairs[:, 0].copy()
        self.target_lengths = pairs[:, 1].copy()
        self.lines = pairs[:, 2].copy()
        self.skipped = skipped
        sizes = self.source_lengths + self.target_lengths
        self._starts = np.cumsum(sizes, dtype=np.int64)
        self._starts -= sizes

    @classmethod
    def from_ids(
        cls, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
    ) -> IndexedCorpus:
        """Create an index in memory from ids that already end in ``EOS``."""
        ids, pairs = _pack(sources, targets, range(1, len(sources) + 1))
        return cls(IdArray(ids), pairs)

    @classmethod
    def build(
        cls,
        text: ParallelText,
        source_vocabulary: Vocabulary,
        target_vocabulary: Vocabulary,
        directory: Path,
        *,
        max_length: int,
        skip_long: bool = False,
        progress: Progress | None = None,
    ) -> IndexedCorpus:
        """Encode a text into ``directory``, which is created atomically.

        Args:
            text: the sentence pairs, read twice and never held in memory.
            source_vocabulary: vocabulary of the source side.
            target_vocabulary: vocabulary of the target side.
            directory: folder to create, including its parents.
            max_length: maximum length of a side in tokens, including ``EOS``.
            skip_long: skip and count longer pairs instead of raising an error.
            progress: called from time to time with the number of pairs read.

        Raises:
            DataError: for invalid text, a pair that is too long, or if no pairs remain.
            RunError: if ``directory`` exists or cannot be written.
        """
        if directory.exists():
            raise RunError(f"{directory} exists: delete it, or build the index in another folder")
        encoding = Encoding(source_vocabulary, target_vocabulary, max_length, skip_long)
        _write(text, encoding, directory, encoding.fingerprint(text), progress)
        return cls.open(directory)

    @classmethod
    def open(cls, directory: Path) -> IndexedCorpus:
        """Open an existing index.

        Raises:
            RunError: if it is missing, damaged, truncated, or of another version.
        """
        return cls._open(directory, read_header(directory))

    @classmethod
    def _open(cls, directory: Path, header: Header) -> IndexedCorpus:
        ids = IdFile(directory / "ids.bin", header.dtype)
        return cls(ids, read_table(directory / "pairs.bin"), header.skipped)

    @classmethod
    def ensure(
        cls,
        text: ParallelText,
        source_vocabulary: Vocabulary,
        target_vocabulary: Vocabulary,
        cache: Path,
        *,
        max_length: int,
        skip_long: bool = False,
        progress: Progress | None = None,
    ) -> IndexedCorpus:
        """Open the index of a text, its vocabularies and maximum length in ``cache``, or build it.

        Arguments are those of :meth:`build`, except ``cache``, a folder for any number of indices.
        If several processes find no index at the same time, each builds one and one of them is
        kept. A damaged index, or the index of another text, is rebuilt.

        Raises:
            DataError: as for :meth:`build`.
            RunError: if the index cannot be written.
        """
        encoding = Encoding(source_vocabulary, target_vocabulary, max_length, skip_long)
        fingerprint = encoding.fingerprint(text)
        directory = cache / fingerprint[:32]
        with suppress(RunError):
            header = read_header(directory)
            if header.fingerprint == fingerprint:
                return cls._open(directory, header)
        _write(text, encoding, directory, fingerprint, progress, replace=True)
        return cls.open(directory)

    def __len__(self) -> int:
        return len(self._starts)

    def batch(self, indices: ArrayLike) -> TextBatch:
        """Return a padded batch of pairs, in the order given.

        Args:
            indices: 0-based positions of pairs, at least one.
        """
        rows = np.array(indices, dtype=np.int64)
        lengths = np.stack([self.source_lengths[rows], self.target_lengths[rows]], axis=1)
        ids = self._ids.read(self._starts[rows], lengths.sum(axis=1))
        is_source = np.repeat(np.tile([True, False], len(rows)), lengths.ravel())
        source, source_mask = _pad(ids[is_source], lengths[:, 0])
        target, target_mask = _pad(ids[~is_source], lengths[:, 1])
        return TextBatch(
            source=source,
            target=target,
            source_mask=source_mask,
            target_mask=target_mask,
            source_lengths=torch.from_numpy(lengths[:, 0].astype(np.int64)),
            target_lengths=torch.from_numpy(lengths[:, 1].astype(np.int64)),
            indices=torch.from_numpy(rows),
            # Do not use torch's generator: loading may run ahead, or in another process.
            noise=Noise(zlib.crc32(rows.tobytes())),
        )


def _pad(ids: NDArray[Any], lengths: NDArray[np.int32]) -> tuple[torch.Tensor, torch.Tensor]:
    mask = np.arange(lengths.max()) < lengths[:, None]
    padded = np.full(mask.shape, PAD, dtype=np.int64)
    padded[mask] = ids
    return torch.from_numpy(padded), torch.from_numpy(mask)


def _write(
    text: ParallelText,
    encoding: Encoding,
    directory: Path,
    fingerprint: str,
    progress: Progress | None,
    *,
    replace: bool = False,
) -> None:
    vocabulary_size = max(len(encoding.source), len(encoding.target))
    read = 0
    try:
        with IndexWriter(directory, vocabulary_size) as writer:
            pairs = iter(text)
            while chunk := list(islice(pairs, _CHUNK)):
                writer.add(*_encode(chunk, text, encoding))
                read += len(chunk)
                if progress is not None:
                    progress(read)
            if not writer.pairs:
                raise DataError(
                    f"each of the {read} pairs has a side of more than {encoding.max_length} "
                    "tokens: increase max_length",
                    text.source_path,
                )
            writer.finish(fingerprint, skipped=read - writer.pairs, replace=replace)
    except OSError as error:
        raise RunError(
            f"cannot write the index {directory}: {error.strerror or error}; free disk space, or "
            "set PYRO_ALIGN_CACHE to another folder"
        ) from error


def _encode(
    chunk: list[SentencePair], text: ParallelText, encoding: Encoding
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    sources = encoding.source.encode_all([pair.source for pair in chunk])
    targets = encoding.target.encode_all([pair.target for pair in chunk])
    kept = []
    for position, (pair, source, target) in enumerate(zip(chunk, sources, targets, strict=True)):
        if max(len(source), len(target)) <= encoding.max_length:
            kept.append(position)
        elif not encoding.skip_long:
            is_source = len(source) > encoding.max_length
            raise DataError(
                f"the {'source' if is_source else 'target'} sentence has "
                f"{len(source if is_source else target)} tokens, more than max_length = "
                f"{encoding.max_length}: shorten it, increase max_length, or skip long pairs "
                "with skip_long",
                text.source_path if is_source else text.target_path,
                pair.line,
            )
    return _pack(
        [sources[i] for i in kept], [targets[i] for i in kept], [chunk[i].line for i in kept]
    )


def _pack(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], lines: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    pairs = [
        (len(source), len(target), line)
        for source, target, line in zip(sources, targets, lines, strict=True)
    ]
    ids = chain.from_iterable(chain.from_iterable(zip(sources, targets, strict=True)))
    return np.fromiter(ids, dtype=np.int64), np.array(pairs, dtype=np.int32).reshape(-1, 3)
