"""Parallel text: a stream of sentence pairs from files, which can be iterated repeatedly."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import final

from pyro_align.data.compression import text_suffix
from pyro_align.data.lines import check_rereadable, read_lines
from pyro_align.data.links import Link, check_links, parse_links
from pyro_align.data.words import split_words
from pyro_align.errors import DataError, reject_string

__all__ = ["ParallelText", "SentencePair", "read_lines"]


@dataclass(frozen=True, slots=True)
class SentencePair:
    """A sentence pair.

    Attributes:
        source: source sentence, as in the file.
        target: target sentence, as in the file.
        links: gold links between words, numbered from 0; None if there are none.
        line: 1-based line number.
    """

    source: str
    target: str
    links: frozenset[Link] | None
    line: int


class ParallelText(ABC):
    """Sentence pairs in files. Each iteration reads the files again, in constant memory.

    No line is skipped silently: an invalid line raises an error with its line number.

    Attributes:
        paths: the files.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = tuple(paths)

    @staticmethod
    def open(paths: Sequence[Path | str]) -> ParallelText:
        """Create parallel text from files, which are opened on iteration.

        Args:
            paths: two files (source, target) with one sentence per line; or one ``.tsv`` (source,
                target and optionally Pharaoh links); or one ``.jsonl`` (objects with the keys
                ``source``, ``target`` and optionally ``links``). Files may be compressed with gzip,
                xz or bzip2.

        Raises:
            DataError: if the number of files or the file extension is not one of these, or a file
                is missing or can be read only once.
        """
        reject_string("paths", paths)
        files = [Path(path) for path in paths]
        text: ParallelText
        if len(files) == 2:
            text = _TwoFiles(files)
        elif len(files) == 1 and (suffix := text_suffix(files[0])) in _ONE_FILE:
            text = _ONE_FILE[suffix](files)
        else:
            given = " ".join(map(str, files)) or "nothing"
            missing = ": the second file, with the target side, is missing" * (len(files) == 1)
            raise DataError(
                "parallel text is two files (source, target), one .tsv or one .jsonl; got "
                f"{given}{missing}"
            )
        for file in files:
            check_rereadable(file)
        return text

    @abstractmethod
    def __iter__(self) -> Iterator[SentencePair]:
        """Stream the pairs.

        Raises:
            DataError: for invalid text; the message names file and line.
        """

    @property
    @abstractmethod
    def target_path(self) -> Path:
        """The file with the target side."""

    @property
    def source_path(self) -> Path:
        """The file with the source side."""
        return self.paths[0]

    def count(self) -> int:
        """Count the sentence pairs by reading and checking all lines."""
        return sum(1 for _ in self)

    def fingerprint(self) -> str:
        """SHA-256 of the content of the files.

        It depends only on the pairs and links, not on compression, the number of files or line
        ends.
        """
        digest = hashlib.sha256()
        for pair in self:
            links = None if pair.links is None else sorted(pair.links)
            for part in (pair.source, pair.target, repr(links)):
                encoded = part.encode()
                digest.update(b"%d:" % len(encoded))
                digest.update(encoded)
        return digest.hexdigest()

    def _checked(self, pairs: Iterable[SentencePair]) -> Iterator[SentencePair]:
        """Yield the pairs, checking that both sides have words and that links are within range."""
        pair = None
        for pair in pairs:
            for side, sentence, path in (
                ("source", pair.source, self.source_path),
                ("target", pair.target, self.target_path),
            ):
                if not split_words(sentence):
                    raise DataError(
                        f"the {side} sentence is empty; remove this line from both sides",
                        path,
                        pair.line,
                    )
            if pair.links:
                source, target = len(split_words(pair.source)), len(split_words(pair.target))
                check_links(pair.links, source, target, self.paths[-1], pair.line)
            yield pair
        if pair is None:
            raise DataError("the corpus is empty: it has no lines", self.source_path)


@final
class _TwoFiles(ParallelText):
    @property
    def target_path(self) -> Path:
        return self.paths[1]

    def __iter__(self) -> Iterator[SentencePair]:
        return self._checked(self._pairs())

    def _pairs(self) -> Iterator[SentencePair]:
        sources, targets = map(read_lines, self.paths)
        for line, (source, target) in enumerate(zip_longest(sources, targets), start=1):
            if source is None or target is None:
                short, long = self.paths if source is None else reversed(self.paths)
                rest = sum(1 for _ in (targets if source is None else sources))
                raise DataError(
                    f"ends after {line - 1} lines, but {long} has {line + rest}; both sides "
                    "need one line per pair",
                    short,
                    line - 1 or None,
                )
            yield SentencePair(source, target, None, line)


class _OneFile(ParallelText):
    @property
    def target_path(self) -> Path:
        return self.paths[0]

    def __iter__(self) -> Iterator[SentencePair]:
        (path,) = self.paths
        numbered = enumerate(read_lines(path), start=1)
        return self._checked(self._parse(text, line) for line, text in numbered)

    @abstractmethod
    def _parse(self, text: str, line: int) -> SentencePair: ...

    def _links(self, text: str, line: int) -> frozenset[Link]:
        links = parse_links(text, self.paths[0], line)
        if links.possible != links.sure:
            raise self._error("possible links (3?4) must be in a separate file", line)
        return links.sure

    def _error(self, message: str, line: int) -> DataError:
        return DataError(message, self.paths[0], line)


@final
class _Tsv(_OneFile):
    def _parse(self, text: str, line: int) -> SentencePair:
        columns = text.split("\t")
        if len(columns) not in (2, 3):
            raise self._error(
                "expected source, target and optionally Pharaoh links, separated by tabs, got "
                f"{len(columns)} column{'s' * (len(columns) > 1)}",
                line,
            )
        source, target, *links = columns
        return SentencePair(source, target, self._links(links[0], line) if links else None, line)


@final
class _Jsonl(_OneFile):
    def _parse(self, text: str, line: int) -> SentencePair:
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._error(
                f'not JSON ({error}); each line is an object like {{"source": "…", "target": "…"}}',
                line,
            ) from None
        if not isinstance(record, dict):
            raise self._error('expected an object like {"source": "…", "target": "…"}', line)
        source, target = (
            self._sentence(record, "source", line),
            self._sentence(record, "target", line),
        )
        links = record.get("links")
        return SentencePair(
            source, target, None if links is None else self._json_links(links, line), line
        )

    def _sentence(self, record: dict[str, object], key: str, line: int) -> str:
        if key not in record:
            present = ", ".join(map(repr, record)) or "none"
            raise self._error(f"key {key!r} is missing; present: {present}", line)
        value = record[key]
        if not isinstance(value, str):
            raise self._error(f"{key!r} must be a string, got {json.dumps(value)[:60]}", line)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self._error(
                f"{key!r} contains half a surrogate pair at character {error.start + 1}; write the "
                "character itself or both halves",
                line,
            ) from None
        return value

    def _json_links(self, links: object, line: int) -> frozenset[Link]:
        if isinstance(links, str):
            return self._links(links, line)
        if isinstance(links, list) and all(
            isinstance(link, list) and len(link) == 2 and all(type(i) is int for i in link)
            for link in links
        ):
            return frozenset((source, target) for source, target in links)
        raise self._error(
            f'"links" must be like [[0, 0], [1, 2]] or "0-0 1-2", got {json.dumps(links)[:60]}',
            line,
        )


_ONE_FILE: dict[str, type[_OneFile]] = {".tsv": _Tsv, ".jsonl": _Jsonl}
