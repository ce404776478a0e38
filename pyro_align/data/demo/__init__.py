"""The built-in corpus: 6,000 German and English sentence pairs with gold links."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pyro_align.data.links import format_links
from pyro_align.data.text import ParallelText
from pyro_align.files import atomic_write

FILES: Final = {
    part: Path(__file__).with_name(f"{part}.tsv.gz") for part in ("train", "val", "test")
}
"""Training, validation and test text: lines of source, target and links, separated by tabs."""


def write_demo(folder: Path) -> None:
    """Make a folder with ``train``, ``val`` and ``test``, each as ``.de``, ``.en`` and ``.links``.

    Links are in Pharaoh format.

    Raises:
        FileExistsError: if there is a folder already.
        OutputError: if a file cannot be written.
    """
    folder.mkdir()
    for part, path in FILES.items():
        pairs = list(ParallelText.open([path]))
        columns = {
            "de": [pair.source for pair in pairs],
            "en": [pair.target for pair in pairs],
            "links": [format_links(pair.links or ()) for pair in pairs],
        }
        for ending, lines in columns.items():
            with atomic_write(folder / f"{part}.{ending}", "t") as file:
                file.writelines(f"{line}\n" for line in lines)


def demo_text(folder: Path, part: str) -> ParallelText:
    """``train``, ``val`` or ``test`` of a folder made by :func:`write_demo`."""
    return ParallelText.open([folder / f"{part}.{side}" for side in ("de", "en")])
