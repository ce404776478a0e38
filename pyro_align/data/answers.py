"""`AnswerVocabulary`: the answers that a model can give; and the words of questions."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, final

from pydantic import BaseModel, ConfigDict, ValidationError

from pyro_align.data.splitting import Splitting
from pyro_align.data.symbols import SymbolVocabulary
from pyro_align.errors import DataError
from pyro_align.files import atomic_write

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")


def question_words(text: str) -> str:
    """Return a question in lower case with spaces between its words and punctuation marks."""
    return " ".join(_WORD.findall(text.lower()))


def question_vocabulary(questions: Iterable[str], min_words: int = 1) -> SymbolVocabulary:
    """Make the vocabulary of the words of questions.

    Args:
        questions: the questions.
        min_words: how often a word must occur; rarer words are unknown.

    Returns:
        A vocabulary that encodes the result of :func:`question_words`.
    """
    splitting = Splitting("codepoints", separated=True)
    counts = Counter(
        word for question in questions for word in splitting.split(question_words(question))
    )
    return SymbolVocabulary(
        sorted(word for word, count in counts.items() if count >= min_words), splitting
    )


@final
class AnswerVocabulary:
    """Answers, each with an id from 0; there are no special tokens.

    Args:
        answers: the answers, in the order of their ids.

    Raises:
        ValueError: if an answer is repeated, or there are none.
    """

    def __init__(self, answers: Sequence[str]):
        self.answers = tuple(answers)
        self._ids = {answer: number for number, answer in enumerate(self.answers)}
        if len(self._ids) < len(self.answers) or not answers:
            raise ValueError("an answer is repeated, or there are none")

    @classmethod
    def build(cls, answers: Iterable[str], min_answers: int = 1) -> AnswerVocabulary:
        """Make the vocabulary of all answers that are given often enough, most frequent first.

        Args:
            answers: the answer to each question.
            min_answers: how often an answer must be given.

        Raises:
            DataError: if no answer is given often enough.
        """
        counts = Counter(answers)
        found = sorted((-count, answer) for answer, count in counts.items() if count >= min_answers)
        if not found:
            raise DataError(
                f"no answer is given {min_answers} times or more in training: reduce "
                f"data.min_answers"
            )
        return cls([answer for _, answer in found])

    def __len__(self) -> int:
        return len(self.answers)

    def __contains__(self, answer: object) -> bool:
        return answer in self._ids

    def id(self, answer: str) -> int:
        """Return the id of an answer.

        Raises:
            KeyError: if it is not in the vocabulary.
        """
        return self._ids[answer]

    def fingerprint(self) -> str:
        """SHA-256 of the saved vocabulary."""
        return hashlib.sha256(_to_json(self.answers).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the answers as JSON, one per line.

        Raises:
            OutputError: if the file cannot be written.
        """
        with atomic_write(path, "t") as file:
            file.write(_to_json(self.answers))

    @classmethod
    def load(cls, path: Path) -> AnswerVocabulary:
        """Read a vocabulary written by :meth:`save`.

        Raises:
            DataError: if the file is missing or damaged.
        """
        try:
            return cls(_File.model_validate_json(path.read_bytes()).answers)
        except OSError as error:
            raise DataError(f"cannot read the answers: {error.strerror}", path) from error
        except (ValidationError, ValueError):
            raise DataError(
                "not a vocabulary of answers, or damaged; copy it again", path
            ) from None


class _File(BaseModel):
    """The content of a saved vocabulary."""

    model_config = ConfigDict(strict=True, extra="forbid")

    format: Literal["pyro-align answers 1"] = "pyro-align answers 1"
    answers: list[str]


def _to_json(answers: Sequence[str]) -> str:
    content = _File(answers=list(answers)).model_dump()
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
