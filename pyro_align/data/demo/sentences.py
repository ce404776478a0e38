"""Built-in sentences: the English side of the built-in corpus."""

from __future__ import annotations

from pathlib import Path

from pyro_align.data.demo import FILES
from pyro_align.data.sentences import SentenceText
from pyro_align.data.text import ParallelText
from pyro_align.files import atomic_write


def write_sentences(folder: Path) -> None:
    """Make a folder with ``train.txt``, ``val.txt`` and ``test.txt``.

    Raises:
        FileExistsError: if there is a folder already.
        OutputError: if a file cannot be written.
    """
    folder.mkdir()
    for part, path in FILES.items():
        with atomic_write(folder / f"{part}.txt", "t") as file:
            file.writelines(f"{pair.target}\n" for pair in ParallelText.open([path]))


def demo_sentences(folder: Path, part: str) -> SentenceText:
    """``train``, ``val`` or ``test`` of a folder made by :func:`write_sentences`."""
    return SentenceText(folder / f"{part}.txt")
