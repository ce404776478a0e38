"""Questions about images: VQA 2.0's JSON files, TSV with a header, and JSON lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from pyro_align.data.compression import text_suffix
from pyro_align.data.lines import read_lines
from pyro_align.data.question_records import Record, read_json, read_jsonl, read_tsv
from pyro_align.errors import DataError, reject_string


@dataclass(frozen=True, slots=True)
class Question:
    """A question about an image.

    Attributes:
        image: id of the image, or its path relative to the folder of images.
        text: the question.
        answers: the answers as given, one for each person asked; empty if to be predicted.
        id: id of the question; empty if there is none.
        kind: type of the question, such as ``colour`` or ``yes/no``; empty if there is none.
        regions: 0-based gold regions, any of which the answer can be read off; empty if unknown.
        chosen: the answer to train on, if the file names one; VQA 2.0's
            ``multiple_choice_answer``.
        place: file and line, or file and question, for error messages.
    """

    image: str
    text: str
    answers: tuple[str, ...] = ()
    id: str = ""
    kind: str = ""
    regions: frozenset[int] = frozenset()
    chosen: str = ""
    place: str = ""

    @property
    def answer(self) -> str:
        """The answer to train on: :attr:`chosen`, or else the most frequent (the first of several).

        Raises:
            DataError: if there is no answer.
        """
        if not self.answers:
            raise DataError(f"{self.place}: the question has no answer")
        return self.chosen or Counter(self.answers).most_common(1)[0][0]


def read_questions(
    sources: Sequence[Path | BinaryIO], *, needs_answers: bool = True
) -> list[Question]:
    """Read the questions of one part, such as the training questions, from one or several files.

    The ending of a file decides its format; each may be compressed with gzip, xz or bzip2:

    - ``.json``: questions or annotations of VQA 2.0. Each question is joined with the annotation
      that has its ``question_id``, in whatever file of ``sources`` it is.
    - ``.tsv``: columns separated by tabs, named in the first line: ``image``, ``question``,
      ``answer``, and optionally ``id``, ``type`` and ``region`` (0-based, separated by spaces).
    - ``.jsonl``: one object per line with these keys. Instead of or beside ``answer`` it may have
      a list ``answers``, and ``region`` is a number or a list of numbers.

    Files with other endings and streams are JSON lines if they start with ``{``, and otherwise TSV.

    Args:
        sources: the files, or open binary streams such as ``sys.stdin.buffer``.
        needs_answers: whether each question must have an answer.

    Returns:
        The questions in the order of the files.

    Raises:
        DataError: if there is no question; or a file is unreadable, not in its format, or lacks an
            image, a question or (if needed) an answer; or a question and its annotation disagree.
            The message names the file and the line or question.
    """
    reject_string("sources", sources)
    records: list[Record] = []
    annotations: list[Record] = []
    for source in sources:
        path = source if isinstance(source, Path) else None
        for record in _records(source, path):
            (annotations if record.is_annotation else records).append(record)
    questions = [_question(record, needs_answers) for record in _joined(records, annotations)]
    if not questions:
        names = ", ".join(str(source) for source in sources if isinstance(source, Path))
        raise DataError(f"{names or '<stdin>'}: there are no questions")
    return questions


def _records(source: Path | BinaryIO, path: Path | None) -> Iterator[Record]:
    lines = read_lines(source)
    suffix = "" if path is None else text_suffix(path)
    if suffix == ".json":
        return read_json("\n".join(lines), path)
    first = next(lines, None)
    if first is None:
        return iter(())
    lines = chain([first], lines)
    if suffix == ".jsonl" or (suffix != ".tsv" and first.lstrip().startswith("{")):
        return read_jsonl(lines, path)
    if suffix != ".tsv" and "\t" not in first:
        raise DataError(
            "neither JSON lines nor columns separated by tabs: files of questions end in .jsonl, "
            ".tsv, or .json for VQA 2.0",
            path,
            1,
        )
    return read_tsv(lines, path)


def _joined(records: list[Record], annotations: list[Record]) -> Iterator[Record]:
    """Add to each question of VQA 2.0 its annotation."""
    by_id: dict[str, Record] = {}
    for annotation in annotations:
        if annotation.id in by_id:
            raise annotation.error("a second annotation of this question")
        by_id[annotation.id] = annotation
    seen: set[str] = set()
    for record in records:
        if record.id and record.id in seen:
            raise record.error(f"a second question with this id, {record.id}")
        seen.add(record.id)
        if record.joins and record.id in by_id:
            annotation = by_id.pop(record.id)
            if annotation.image != record.image:
                raise annotation.error(
                    f"about image {annotation.image}, but the question is about image "
                    f"{record.image}"
                )
            record = record.joined_with(annotation)
        yield record
    for annotation in by_id.values():
        raise annotation.error("its question is in none of the files: give the file of questions")


def _question(record: Record, needs_answers: bool) -> Question:
    if not record.text.strip():
        raise record.error("the question is empty")
    if not record.image:
        raise record.error("the image is empty")
    if needs_answers and not record.answers:
        hint = ": give the file of annotations too" if record.joins else ""
        raise record.error(f"the question has no answer{hint}")
    if any(not answer.strip() for answer in record.answers):
        raise record.error("an answer is empty")
    return Question(
        record.image,
        record.text,
        record.answers,
        record.id,
        record.kind,
        record.regions,
        record.chosen,
        record.place,
    )
