"""Word forms in TSV files: the data of grapheme-to-phoneme conversion and inflection."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, final

from pyro_align.data.lines import check_rereadable, read_lines
from pyro_align.data.links import GoldLinks, format_links, parse_links
from pyro_align.errors import ConfigError, DataError, reject_string

_COLUMNS = ("source", "target", "features", "links", "-")


@dataclass(frozen=True)
class FormLayout:
    """The columns of a TSV file of forms.

    Attributes:
        columns: names of the columns in order. ``source`` and ``target`` are required; ``features``
            are the features of the target form, ``links`` its gold links to the source in Pharaoh
            format, which a file may lack, and ``-`` is a column to ignore.
        separator: string between two features.

    Raises:
        ConfigError: if a name is not known, missing or repeated, or the separator is empty.
    """

    columns: tuple[str, ...] = ("source", "target")
    separator: str = ";"

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in _COLUMNS:
                raise ConfigError(f"unknown column {name!r}: use {', '.join(_COLUMNS)}")
            if name != "-" and self.columns.count(name) > 1:
                raise ConfigError(f"column {name!r} is given twice")
        for name in ("source", "target"):
            if name not in self.columns:
                raise ConfigError(f"column {name!r} is missing in {' '.join(self.columns)}")
        if not self.separator or "\t" in self.separator:
            raise ConfigError(
                "the separator of features must be a non-empty string without tabs, got "
                f"{self.separator!r}"
            )

    @property
    def input_columns(self) -> tuple[str, ...]:
        """The columns of a file without the target and its links."""
        return tuple(name for name in self.columns if name not in ("target", "links"))

    @property
    def pair_columns(self) -> tuple[str, ...]:
        """The columns of a file without links."""
        return tuple(name for name in self.columns if name != "links")


PRONUNCIATION = FormLayout()
"""Word and phonemes, as in SIGMORPHON 2020 task 1 and WikiPron."""

CONLL_2017 = FormLayout(("source", "target", "features"))
"""Lemma, form and features such as ``V;PST;1;PL``, as in CoNLL-SIGMORPHON 2017 and 2018."""

SIGMORPHON_2016 = FormLayout(("source", "features", "target"), ",")
"""Lemma, features such as ``pos=V,tense=PST``, and form, as in SIGMORPHON 2016."""


@dataclass(frozen=True, slots=True)
class FormPair:
    """A source form and its target form.

    Attributes:
        source: source form, such as a word or lemma.
        target: target form, such as phonemes or an inflected form; None if it is to be predicted.
        features: features of the target form, in the order of the file.
        language: name of the language, if there are several.
        links: gold links between the symbols of both forms, numbered from 0; None if there are
            none.
        path: file of the pair; None for a stream.
        line: 1-based line number.
    """

    source: str
    target: str | None
    features: tuple[str, ...] = ()
    language: str | None = None
    links: GoldLinks | None = None
    path: Path | None = None
    line: int = 1

    @property
    def tags(self) -> tuple[str, ...]:
        """What a model is told besides the source form: the language, then the features."""
        language = () if self.language is None else (f"language={self.language}",)
        return language + self.features


def read_forms(
    source: Path | BinaryIO,
    layout: FormLayout = PRONUNCIATION,
    *,
    language: str | None = None,
    needs_target: bool = True,
) -> Iterator[FormPair]:
    """Stream the pairs of a TSV file, one per line. Spaces around a form are removed.

    Args:
        source: a file, or an open binary stream such as ``sys.stdin.buffer``; see
            :func:`~pyro_align.data.read_lines`.
        layout: the columns.
        language: language of all pairs, if there are several.
        needs_target: whether each line must have a target. If not, a line may also have an empty
            target, or only the columns :attr:`FormLayout.input_columns`.

    Raises:
        DataError: if the file is empty or unreadable; or a line has a wrong number of columns, an
            empty form or feature, or something else than links as links.
    """
    path = source if isinstance(source, Path) else None
    is_empty = True
    pairs = parse_forms(
        read_lines(source), layout, language=language, needs_target=needs_target, path=path
    )
    for pair in pairs:
        is_empty = False
        yield pair
    if is_empty:
        raise DataError("there are no forms: the file has no lines", path)


def parse_forms(
    lines: Iterable[str],
    layout: FormLayout = PRONUNCIATION,
    *,
    language: str | None = None,
    needs_target: bool = True,
    path: Path | None = None,
) -> Iterator[FormPair]:
    """Parse lines, without line ends, of a TSV file; arguments as for :func:`read_forms`.

    Args:
        lines: the lines.
        layout: the columns.
        language: language of all pairs, if there are several.
        needs_target: whether each line must have a target.
        path: file of the lines, for error messages.

    Raises:
        UserError: if ``lines`` is one string.
        DataError: as for :func:`read_forms`.
    """
    reject_string("lines", lines)
    numbered = enumerate(lines, start=1)
    return (_parse(line, layout, language, needs_target, path, number) for number, line in numbered)


def _parse(
    line: str,
    layout: FormLayout,
    language: str | None,
    needs_target: bool,
    path: Path | None,
    number: int,
) -> FormPair:
    cells = line.split("\t")
    allowed = list(dict.fromkeys((layout.columns, layout.pair_columns)))
    if not needs_target:
        allowed.append(layout.input_columns)
    names = next((names for names in allowed if len(names) == len(cells)), None)
    if names is None:
        expected = " or ".join(f"{len(names)} ({', '.join(names)})" for names in allowed)
        found = f"{len(cells)} column{'s' * (len(cells) > 1)}" if line.strip() else "an empty line"
        raise DataError(
            f"expected tab-separated columns, {expected}, got {found}; correct the line, or name "
            "the columns of the file in their order (in a fit --set data.columns=source,features,"
            "target)",
            path,
            number,
        )
    row = {name: cell.strip(" ") for name, cell in zip(names, cells, strict=True)}
    for name in ("source", "target") if needs_target else ("source",):
        if not row[name].strip():
            raise DataError(f"the {name} form is empty; write it, or remove the line", path, number)
    target = row.get("target") or None
    features = row.get("features", "")
    tags = tuple(tag.strip() for tag in features.split(layout.separator)) if features else ()
    if "" in tags:
        raise DataError(
            f"{features!r} has an empty feature; features are separated by {layout.separator!r}",
            path,
            number,
        )
    links = parse_links(row["links"], path, number) if target and "links" in row else None
    return FormPair(row["source"], target, tags, language, links, path, number)


@final
class FormText:
    """Pairs of forms in one or several TSV files. Each iteration reads the files again.

    Args:
        paths: the files, plain or compressed.
        layout: the columns of each file.
        languages: the language of each file; None for a single language.

    Raises:
        DataError: if there is no file, or a file is missing or can be read only once.
        ConfigError: if the numbers of files and languages differ.
    """

    def __init__(
        self,
        paths: Sequence[Path | str],
        layout: FormLayout = PRONUNCIATION,
        languages: Sequence[str] | None = None,
    ):
        reject_string("paths", paths)
        self.paths = tuple(Path(path) for path in paths)
        self.layout = layout
        self.languages = (None,) * len(self.paths) if languages is None else tuple(languages)
        if not self.paths:
            raise DataError("a text of forms needs at least one TSV file")
        if len(self.languages) != len(self.paths):
            raise ConfigError(
                f"the numbers of text files ({len(self.paths)}) and languages "
                f"({len(self.languages)}) differ: give the language of each file (--language, in "
                f"Python languages=...)"
            )
        for path in self.paths:
            check_rereadable(path)

    def __iter__(self) -> Iterator[FormPair]:
        """Stream the pairs.

        Raises:
            DataError: as for :func:`read_forms`.
        """
        for path, language in zip(self.paths, self.languages, strict=True):
            yield from read_forms(path, self.layout, language=language)

    def count(self) -> int:
        """Count the pairs by reading and checking all lines."""
        return sum(1 for _ in self)

    def fingerprint(self) -> str:
        """SHA-256 of the content.

        It depends only on the pairs, not on names of files, compression, line ends or layout.
        """
        digest = hashlib.sha256()
        for pair in self:
            links = None if pair.links is None else format_links(pair.links)
            digest.update(repr((pair.source, pair.target, pair.tags, links)).encode())
        return digest.hexdigest()
