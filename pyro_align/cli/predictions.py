"""Output of predictions: text, columns or JSON, and links."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from pyro_align.cli.output import flush

if TYPE_CHECKING:
    from pyro_align.decoding import Translation


@dataclass(frozen=True)
class Predictions:
    """Writes predictions.

    Attributes:
        file: file of the predictions.
        links_file: file of the links, a line for each prediction; None for no links.
        scores: print score and log probability before each prediction.
        as_json: print an object per line of text.
        at_once: flush standard output after every line of text.
    """

    file: TextIO
    links_file: TextIO | None
    scores: bool
    as_json: bool
    at_once: bool

    def __call__(self, translation: Translation) -> None:
        """Write the predictions of one line; an empty line if there are none."""
        if self.links_file is not None:
            aligned = [found.alignment for found in translation.hypotheses]
            for each in aligned or [None]:
                print(*(f"{s}-{t}" for s, t in each.links) if each else (), file=self.links_file)
        if self.as_json:
            print(json.dumps(translation.to_dict(), ensure_ascii=False), file=self.file)
        else:
            self._write_columns(translation)
        if self.at_once:
            flush()

    def _write_columns(self, translation: Translation) -> None:
        if not translation.hypotheses:
            print(file=self.file)
        for found in translation.hypotheses:
            numbers = (found.score, found.log_probability) if self.scores else ()
            print(*(f"{each:.4f}" for each in numbers), found.text, sep="\t", file=self.file)
