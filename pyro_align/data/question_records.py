"""Records of files of questions, not yet checked for completeness."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from sys import intern
from typing import Any

from pyro_align.errors import DataError, nearest

_COLUMNS = ("image", "question", "answer", "id", "type", "region")
_KEYS = (*_COLUMNS, "answers")


@dataclass(slots=True)
class Record:
    """A line of a file of questions, or a question or annotation of VQA 2.0.

    Attributes:
        path: the file; None for standard input.
        name: what identifies the record in its file: a line number or a question.
        joins: whether it has to be joined with an annotation.
        is_annotation: whether it is an annotation.
        image, text, answers, id, kind, regions, chosen: see :class:`~pyro_align.data.Question`.
    """

    path: Path | None
    name: str
    image: str
    text: str = ""
    answers: tuple[str, ...] = ()
    id: str = ""
    kind: str = ""
    regions: frozenset[int] = frozenset()
    chosen: str = ""
    joins: bool = False
    is_annotation: bool = False

    @property
    def place(self) -> str:
        """File and line, or file and question."""
        separator = ":" if self.name.isdigit() else ": "
        return f"{self.path or '<stdin>'}{separator}{self.name}"

    def error(self, message: str) -> DataError:
        """Return an error about this record."""
        return DataError(f"{self.place}: {message}")

    def joined_with(self, annotation: Record) -> Record:
        """Return this question with the answers of its annotation."""
        return replace(
            self, answers=annotation.answers, kind=annotation.kind, chosen=annotation.chosen
        )


def read_tsv(lines: Iterator[str], path: Path | None) -> Iterator[Record]:
    """Read lines of columns that the first line names.

    Raises:
        DataError: if a column is unknown, missing or given twice, or a line has another number of
            columns or a region that is no number.
    """
    names = next(lines, "").split("\t")
    for name in names:
        if name not in _COLUMNS:
            raise DataError(
                f"unknown column {name[:40]!r}: the first line names the columns; "
                f"{nearest(name, _COLUMNS)}",
                path,
                1,
            )
        if names.count(name) > 1:
            raise DataError(f"column {name!r} is given twice", path, 1)
    for name in ("image", "question"):
        if name not in names:
            raise DataError(f"column {name!r} is missing in the first line", path, 1)
    for number, line in enumerate(lines, start=2):
        cells = line.split("\t")
        if len(cells) != len(names):
            raise DataError(
                f"expected {len(names)} columns ({', '.join(names)}) separated by tabs, got "
                f"{len(cells) if line else 'an empty line'}",
                path,
                number,
            )
        row = dict(zip(names, cells, strict=True))
        record = Record(path, str(number), row["image"], row["question"])
        record.answers = (row["answer"],) if row.get("answer") else ()
        record.id, record.kind = row.get("id", ""), row.get("type", "")
        regions = row.get("region", "").split()
        if not all(region.isascii() and region.isdigit() for region in regions):
            raise record.error(
                f"regions must be numbers from 0 separated by spaces, got {row['region']!r}"
            )
        record.regions = frozenset(map(int, regions))
        yield record


def read_jsonl(lines: Iterator[str], path: Path | None) -> Iterator[Record]:
    """Read one JSON object per line.

    Raises:
        DataError: if a line is not a JSON object with ``image`` and ``question``, a key is unknown
            or given twice, or a value has another type.
    """
    for number, line in enumerate(lines, start=1):
        record = Record(path, str(number), "")
        if not line.strip():
            raise record.error("an empty line: remove it")
        row = _parsed(line, record)
        for key in row:
            if key not in _KEYS:
                raise record.error(f"unknown key {key[:40]!r}; {nearest(key, _KEYS)}")
        record.image = _text(row, "image", record, required=True)
        record.text = _text(row, "question", record, required=True)
        record.id = _text(row, "id", record)
        record.kind = _text(row, "type", record)
        record.chosen = _text(row, "answer", record)
        record.answers = _answers(row, record) or ((record.chosen,) if record.chosen else ())
        record.regions = _regions(row.get("region"), record)
        yield record


def read_json(text: str, path: Path | None) -> Iterator[Record]:
    """Read questions or annotations of VQA 2.0.

    Raises:
        DataError: if the text is not JSON, has neither, or an entry lacks a key or has a value of
            another type.
    """
    whole = Record(path, "", "")
    data = _parsed(text, whole, _compact)
    kind = next((name for name in ("questions", "annotations") if name in data), None)
    if kind is None or not isinstance(data[kind], list):
        raise DataError(
            'expected VQA 2.0\'s {"questions": […]} or {"annotations": […]}; files with one '
            "question per line are named .jsonl",
            path,
        )
    for index, entry in enumerate(data[kind]):
        record = Record(path, f"entry {index} of {kind}", "")
        if not isinstance(entry, dict):
            raise record.error("not a JSON object")
        record.id = _text(entry, "question_id", record, required=True)
        record.name = f"question {record.id}"
        record.image = _text(entry, "image_id", record, required=True)
        if kind == "questions":
            record.text = _text(entry, "question", record, required=True)
            record.joins = True
        else:
            record.kind = _text(entry, "answer_type", record)  # yes/no, number or other
            record.chosen = _text(entry, "multiple_choice_answer", record)
            record.answers = _answers(entry, record)
            record.is_annotation = True
        yield record


def _compact(value: dict[str, Any]) -> dict[str, Any] | str:
    """Replace an answer of VQA 2.0 by its text: the objects of all answers take gigabytes."""
    answer = value.get("answer")
    return intern(answer) if isinstance(answer, str) and "answer_id" in value else value


def _parsed(
    text: str, record: Record, hook: Callable[[dict[str, Any]], Any] = lambda value: value
) -> dict[str, Any]:
    def distinct(pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _error(record, f"key {twice[:40]!r} is given twice in one object")
        return hook(found)

    try:
        value = json.loads(text, object_pairs_hook=distinct)
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise _error(record, f"not JSON ({error})") from None
    if not isinstance(value, dict):
        raise _error(record, f"expected a JSON object, got {text[:60]}")
    return value


def _error(record: Record, message: str) -> DataError:
    return record.error(message) if record.name else DataError(message, record.path)


def _text(row: dict[str, Any], key: str, record: Record, *, required: bool = False) -> str:
    """The string of a key, or the number written as one."""
    value = row.get(key)
    if value is None:
        if required:
            raise record.error(
                f"key {key!r} is missing; present: {', '.join(map(repr, row)) or 'none'}"
            )
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise record.error(f"{key!r} must be a string, got {json.dumps(value)[:60]}")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise record.error(f"{key!r} contains half a surrogate pair") from None
    return intern(text)


def _answers(row: dict[str, Any], record: Record) -> tuple[str, ...]:
    """A list of strings, or of VQA 2.0's objects with the key ``answer``."""
    answers = row.get("answers", [])
    if not isinstance(answers, list):
        raise record.error(f"'answers' must be a list, got {json.dumps(answers)[:60]}")
    return tuple(
        _text(each if isinstance(each, dict) else {"answer": each}, "answer", record, required=True)
        for each in answers
    )


def _regions(value: object, record: Record) -> frozenset[int]:
    regions = [] if value is None else value if isinstance(value, list) else [value]
    if not all(type(region) is int and region >= 0 for region in regions):
        raise record.error(
            f"'region' must be a number from 0 or a list of them, got {json.dumps(value)[:60]}"
        )
    return frozenset(regions)
