"""Built-in words: 2,400 words of a made-up language with phonemes and gold links."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pyro_align.data.forms import FormLayout, FormText
from pyro_align.data.lines import read_lines
from pyro_align.files import atomic_write

LAYOUT: Final = FormLayout(("source", "target", "links"))

FILES: Final = {
    part: Path(__file__).with_name(f"words.{part}.tsv.gz") for part in ("train", "val", "test")
}
"""2,000 words for training, 200 for validation and 200 for testing: spelling, phonemes, links."""


def write_words(folder: Path) -> None:
    """Make a folder with ``train.tsv``, ``val.tsv`` and ``test.tsv``.

    Raises:
        FileExistsError: if there is a folder already.
        OutputError: if a file cannot be written.
    """
    folder.mkdir()
    for part, path in FILES.items():
        with atomic_write(folder / f"{part}.tsv", "t") as file:
            file.writelines(f"{line}\n" for line in read_lines(path))


def demo_words(folder: Path, part: str) -> FormText:
    """``train``, ``val`` or ``test`` of a folder made by :func:`write_words`."""
    return FormText([folder / f"{part}.tsv"], LAYOUT)
