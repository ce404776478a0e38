"""Posteriors of the same sentences shown side by side: several guides, or several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyro_align.errors import ConfigError, nearest
from pyro_align.files import atomic_write
from pyro_align.posterior.alignment_posterior import AlignmentPosterior
from pyro_align.posterior.compare import check_same_sentences, distinct_titles
from pyro_align.posterior.sentence import KINDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SideBySide:
    """Views of several posteriors that show the same sentence, distribution and cell.

    It is displayed in notebooks; a selection in one view applies to all.

    Attributes:
        posteriors: the posteriors.
        titles: their titles, numbered if they are not distinct.
    """

    def __init__(self, posteriors: Sequence[AlignmentPosterior]):
        check_same_sentences(posteriors)
        self.posteriors = tuple(posteriors)
        self.titles = distinct_titles(posteriors)

    def __repr__(self) -> str:
        return f"SideBySide({', '.join(map(repr, self.titles))})"

    def _repr_html_(self) -> str:
        from pyro_align.posterior.html import render_group

        return render_group(self.posteriors, self.titles)

    def to_html(self, path: Path | str) -> None:
        """Write the views to one self-contained HTML file.

        Raises:
            OutputError: if the file cannot be written.
        """
        from pyro_align.posterior.html import page

        with atomic_write(Path(path), "t") as file:
            file.write(page(" | ".join(self.titles), [self._repr_html_()]))

    def plot(
        self,
        sentence: int = 0,
        kind: str | None = None,
        path: Path | str | None = None,
        *,
        ends: bool = True,
    ) -> Figure:
        """Plot one distribution of one sentence pair as a heatmap per posterior.

        Args:
            sentence: index of the sentence pair.
            kind: ``prior``, ``guide`` or ``posterior``; None for ``guide`` if all have it, else
                ``posterior``, else ``prior``.
            path: also save the figure to this file, as PNG, SVG or PDF depending on the extension.
            ends: also draw the sentence ends ``</s>``.

        Raises:
            UserError: if the kind or sentence does not exist, or the file cannot be written.
        """
        from pyro_align.posterior.figure import Panel, draw, write

        common = [each for each in KINDS if all(each in one.kinds for one in self.posteriors)]
        if kind is None:
            kind = next(each for each in ("guide", "posterior", "prior") if each in common)
        if kind not in common:
            raise ConfigError(f"not every posterior has a {kind!r}: {nearest(kind, common)}")
        figure = draw(
            [
                Panel(title, one.sentence(sentence), kind)
                for title, one in zip(self.titles, self.posteriors, strict=True)
            ],
            kind,
            ends=ends,
        )
        if path is not None:
            write(figure, Path(path))
        return figure


def side_by_side(*posteriors: AlignmentPosterior) -> SideBySide:
    """Show posteriors of the same sentences side by side: several guides, or several runs.

    Args:
        *posteriors: two or more posteriors of the same sentence pairs and tokens.

    Raises:
        UserError: if there are fewer than two, or their sentences or tokens differ.
    """
    return SideBySide(posteriors)
