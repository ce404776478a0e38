"""Sentences without a source: text of one sentence per line, as ids, and word vocabularies."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyro_align.data.batch import EOS, SentenceBatch
from pyro_align.data.lines import check_rereadable, read_lines
from pyro_align.data.noise import Noise
from pyro_align.data.splitting import Splitting
from pyro_align.data.symbols import SymbolVocabulary
from pyro_align.data.words import split_words
from pyro_align.errors import DataError

UNKNOWN_WORD = "<unk>"
"""Rare words of a text that has been prepared for language models, such as the Penn Treebank in
Mikolov's form. It is the unknown token, not a word of the vocabulary."""


class Encoder(Protocol):
    """A vocabulary that encodes sentences."""

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each sentence, ending in ``EOS``."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a text.

    Attributes:
        text: the sentence, as in the file.
        line: 1-based line number.
    """

    text: str
    line: int


@final
class SentenceText:
    """Sentences in a file, one per line. Each iteration reads the file again.

    Args:
        path: the file, plain or compressed with gzip, xz or bzip2.

    Attributes:
        paths: the file, as a tuple.

    Raises:
        DataError: if the file is missing or can be read only once.
    """

    def __init__(self, path: Path | str):
        self.paths = (Path(path),)
        check_rereadable(self.paths[0])

    def __iter__(self) -> Iterator[Sentence]:
        """Stream the sentences.

        Raises:
            DataError: if a line is empty or not UTF-8, or the file has no lines.
        """
        (path,) = self.paths
        return check_sentences(
            (Sentence(line, number) for number, line in enumerate(read_lines(path), start=1)), path
        )

    def count(self) -> int:
        """Count the sentences by reading and checking all lines."""
        return sum(1 for _ in self)

    def fingerprint(self) -> str:
        """SHA-256 of the sentences, which does not depend on compression or line ends."""
        digest = hashlib.sha256()
        for sentence in self:
            encoded = sentence.text.encode()
            digest.update(b"%d:" % len(encoded))
            digest.update(encoded)
        return digest.hexdigest()


def check_sentences(sentences: Iterator[Sentence], path: Path | None) -> Iterator[Sentence]:
    """Yield sentences, checking that there are any and that each has a word.

    Args:
        sentences: the sentences.
        path: their file, for error messages; None for a stream.

    Raises:
        DataError: if a sentence is empty, or there are none.
    """
    sentence = None
    for sentence in sentences:
        if not split_words(sentence.text):
            raise DataError("the sentence is empty: remove this line", path, sentence.line)
        yield sentence
    if sentence is None:
        raise DataError("the text is empty: it has no lines", path)


@final
class EncodedSentences:
    """Sentences as ids in memory, the :class:`~pyro_align.data.batching.Examples` of a text.

    Args:
        sentences: ids of each sentence, ending in ``EOS``.
        skipped: number of sentences left out as too long.

    Attributes:
        source_lengths: zeros.
        target_lengths: length of each sentence, with ``EOS``.
        skipped: as given.
    """

    def __init__(self, sentences: Sequence[Sequence[int]], skipped: int = 0):
        self.target_lengths: NDArray[np.int32] = np.array([len(ids) for ids in sentences], np.int32)
        self.source_lengths: NDArray[np.int32] = np.zeros_like(self.target_lengths)
        self.skipped = skipped
        self._ends = self.target_lengths.cumsum(dtype=np.int64)
        self._ids = np.concatenate([np.asarray(ids, np.int32) for ids in sentences])

    def __len__(self) -> int:
        return len(self._ends)

    def ids(self, index: int) -> list[int]:
        """Return the ids of a sentence."""
        end = int(self._ends[index])
        found: list[int] = self._ids[end - int(self.target_lengths[index]) : end].tolist()
        return found

    def batch(self, indices: ArrayLike) -> SentenceBatch:
        """Return a padded batch of sentences by position, in that order."""
        positions = [int(index) for index in np.asarray(indices)]
        # A fixed seed, since batches are made in a thread; training draws new noise for each step.
        noise = Noise(positions[0])
        return SentenceBatch.from_ids([self.ids(index) for index in positions], positions, noise)


def encode_sentences(
    text: SentenceText, vocabulary: Encoder, max_length: int, *, skip_long: bool = False
) -> EncodedSentences:
    """Encode the sentences of a text.

    Args:
        text: the sentences.
        vocabulary: encodes them.
        max_length: maximum length in tokens, with ``EOS``.
        skip_long: leave longer sentences out instead of raising an error.

    Raises:
        DataError: if a sentence is too long, or no sentence is left.
    """
    sentences = list(text)
    encoded = vocabulary.encode_all([sentence.text for sentence in sentences])
    if not skip_long:
        for sentence, ids in zip(sentences, encoded, strict=True):
            if len(ids) > max_length:
                raise DataError(
                    f"a sentence of {len(ids)} tokens, more than data.max_length = {max_length}: "
                    f"increase it, split the sentence, or set data.skip_long = true",
                    text.paths[0],
                    sentence.line,
                )
    kept = [ids for ids in encoded if len(ids) <= max_length]
    if not kept:
        raise DataError(
            f"all sentences are longer than data.max_length = {max_length}: increase it",
            text.paths[0],
        )
    return EncodedSentences(kept, len(encoded) - len(kept))


def word_vocabulary(text: SentenceText, size: int, min_count: int = 1) -> SymbolVocabulary:
    """Make a vocabulary of the most frequent words of a text, separated by white space.

    Words that are not in it, and :data:`UNKNOWN_WORD`, are encoded as the unknown token.

    Args:
        text: the sentences.
        size: maximum number of tokens, including the four special ones.
        min_count: minimum number of occurrences of a word.

    Raises:
        DataError: if no word is frequent enough.
    """
    splitting = Splitting("codepoints", separated=True)
    counts = Counter(word for sentence in text for word in splitting.split(sentence.text))
    del counts[UNKNOWN_WORD]
    # Ties in alphabetical order, so that the vocabulary does not depend on the order of the text.
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [word for word, count in ranked[: max(0, size - EOS - 1)] if count >= min_count]
    if not words:
        raise DataError(
            f"no word occurs at least vocabulary.min_count = {min_count} times: reduce it",
            text.paths[0],
        )
    return SymbolVocabulary(sorted(words), splitting)
