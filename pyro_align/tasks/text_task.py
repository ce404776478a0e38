"""Base class of tasks whose data are lines of text."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

from pyro_align.evaluation import MAX_LENGTH
from pyro_align.tasks.task import Task


class TextTask(Task):
    """Examples that are lines of text in files.

    The configuration has the table ``data`` with ``train``, ``valid``, ``test`` and ``max_length``.
    """

    @abstractmethod
    def text(self, part: str) -> Any:
        """Return the ``train``, ``valid`` or ``test`` text; the last is by default ``valid``.

        It has the attribute ``paths`` and the methods ``count`` and ``fingerprint``.
        """

    @property
    def max_length(self) -> int:
        """Maximum length in tokens of an example to evaluate; of pairs, of either side."""
        return max(MAX_LENGTH, self.config.data.max_length)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return number of examples, digest and files of training and validation text."""
        texts = {part: self.text(part) for part in ("train", "valid")}
        return {
            part: {
                "pairs": text.count(),
                "sha256": text.fingerprint(),
                "files": [path.name for path in text.paths],
            }
            for part, text in texts.items()
        }

    def files(self, part: str) -> list[Path]:
        """Return the files of a text."""
        return list(self.text(part).paths)

    def test_size(self) -> int:
        """Return the number of test examples."""
        count: int = self.text("test").count()
        return count
