"""Sentence pairs to align, from files or a stream; empty lines are kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, Literal

from pyro_align.data import read_lines, split_words
from pyro_align.data.compression import text_suffix
from pyro_align.data.words import has_words
from pyro_align.errors import DataError, reject_string

Side = Literal["source", "target"]
"""One side of a sentence pair."""

BAR = "|||"
"""Separator of source and target in a combined file."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One sentence and its translation; either may be empty.

    Attributes:
        source: source sentence, unchanged.
        target: target sentence, unchanged.
        line: 1-based line number.
    """

    source: str
    target: str
    line: int

    @property
    def is_empty(self) -> bool:
        """Whether either side has no words."""
        return not (has_words(self.source) and has_words(self.target))


@dataclass(frozen=True)
class PairText:
    """Sentence pairs, read from their files at each iteration, with constant memory.

    A stream or a pipe can be iterated only once; see :meth:`rereadable`.

    Unlike :class:`~pyro_align.data.ParallelText`, the text for training, it keeps empty lines and
    empty sides.

    Attributes:
        inputs: two files (source, target); or one ``.tsv`` (source, target; further columns are
            ignored), one ``.jsonl`` (objects with ``source`` and ``target``), or another file or
            an open binary stream with lines ``source ||| target``, or source and target separated
            by a tab. All may be compressed with gzip, xz or bzip2.
        files: the files that are read: the inputs, or copies of them.
    """

    inputs: tuple[Path | BinaryIO, ...]
    files: tuple[Path | BinaryIO, ...]

    @classmethod
    def open(cls, inputs: Sequence[Path | BinaryIO]) -> PairText:
        """Create the text after checking that its files exist.

        Raises:
            DataError: if there are not one or two inputs, or a file is missing.
        """
        reject_string("inputs", inputs)
        if len(inputs) not in (1, 2) or (
            len(inputs) == 2 and not all(isinstance(item, Path) for item in inputs)
        ):
            raise DataError(
                "text to align is two files (source, target), one file of both, or - for "
                f"standard input; got {' '.join(map(str, inputs)) or 'nothing'}"
            )
        for item in inputs:
            if isinstance(item, Path) and not item.exists():
                raise DataError("no such file", item)
        return cls(tuple(inputs), tuple(inputs))

    def rereadable(self, folder: Path) -> PairText:
        """Return the same text in a form that can be iterated any number of times.

        Args:
            folder: folder for copies of inputs that can be read only once, such as pipes.
        """
        files = []
        for number, file in enumerate(self.files):
            if isinstance(file, Path) and file.is_file():
                files.append(file)
                continue
            copy = folder / f"input{number}"
            with copy.open("wb") as out:
                if isinstance(file, Path):
                    with file.open("rb") as stream:
                        shutil.copyfileobj(stream, out)
                else:
                    shutil.copyfileobj(file, out)
            files.append(copy)
        return replace(self, files=tuple(files))

    @property
    def path(self) -> Path | None:
        """The file to name in errors; None for a stream."""
        return self.path_of("source")

    def path_of(self, side: Side) -> Path | None:
        """The file with a side, to name in errors; None for a stream."""
        name = self.inputs[-1 if side == "target" else 0]
        return name if isinstance(name, Path) else None

    def __iter__(self) -> Iterator[Pair]:
        """Stream the pairs.

        Raises:
            DataError: if the text is invalid; the message names file and line.
        """
        if len(self.inputs) == 2:
            return self._from_two()
        return self._from_one()

    def _from_two(self) -> Iterator[Pair]:
        names = (self.path_of("source"), self.path_of("target"))
        sides = map(read_lines, self.files, names)
        for line, (source, target) in enumerate(zip_longest(*sides), start=1):
            if source is None or target is None:
                short, long = self.inputs if source is None else reversed(self.inputs)
                raise DataError(
                    f"ends after {line - 1} lines, but {long} goes on; both sides need one line "
                    "for each pair",
                    short if isinstance(short, Path) else None,
                    line - 1 or None,
                )
            yield Pair(source, target, line)

    def _from_one(self) -> Iterator[Pair]:
        path = self.path
        suffix = "" if path is None else text_suffix(path)
        split = _SPLIT.get(suffix, _between_bars)
        for line, text in enumerate(read_lines(self.files[0], path), start=1):
            source, target = split(text, path, line) if has_words(text) else ("", "")
            yield Pair(source, target, line)


def _between_bars(text: str, path: Path | None, line: int) -> tuple[str, str]:
    words = split_words(text)
    if words.count(BAR) == 1:
        if "\t" in text:
            raise DataError(
                f"{text[:60]!r} contains both {BAR} and a tab, and either could separate source "
                "and target: replace the tabs by spaces, or rename the file to .tsv if the tab is "
                "the separator",
                path,
                line,
            )
        middle = words.index(BAR)
        return " ".join(words[:middle]), " ".join(words[middle + 1 :])
    if BAR not in words and text.count("\t") == 1:
        source, _, target = text.partition("\t")
        return source, target
    raise DataError(
        f"expected source {BAR} target, or source and target separated by one tab, got "
        f"{text[:60]!r}; to align two separate files, pass both",
        path,
        line,
    )


def _between_tabs(text: str, path: Path | None, line: int) -> tuple[str, str]:
    source, tab, rest = text.partition("\t")
    if not tab:
        raise DataError(
            f"expected source and target separated by a tab, got {text[:60]!r}", path, line
        )
    return source, rest.partition("\t")[0]


def _json_object(text: str, path: Path | None, line: int) -> tuple[str, str]:
    try:
        record = json.loads(text)
        source, target = record["source"], record["target"]
        # Rejects lone surrogates, which JSON may contain.
        (source + target).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(
            f'expected an object like {{"source": "…", "target": "…"}}, got {text[:60]!r}',
            path,
            line,
        ) from None
    return source, target


_SPLIT: dict[str, Callable[[str, Path | None, int], tuple[str, str]]] = {
    ".tsv": _between_tabs,
    ".jsonl": _json_object,
}
