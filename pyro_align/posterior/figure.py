"""Heatmaps of one sentence pair."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pyro_align.errors import ConfigError
from pyro_align.files import atomic_write
from pyro_align.posterior.fonts import families, shown
from pyro_align.posterior.sentence import Floats, SentencePosterior, inner

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

FORMATS = (".png", ".svg", ".pdf")
"""Supported file formats of figures, by suffix."""

HEADINGS = {
    "prior": r"prior $p(z_t\,|\,x, y_{<t})$",
    "guide": r"guide $q(z_t\,|\,x, y)$",
    "posterior": r"exact posterior $p(z_t\,|\,x, y)$",
}
"""Headings of heatmaps."""

_CELL, _SMALLEST, _WIDEST, _TALLEST = 0.3, 2.4, 15.0, 12.0
"""Inches: maximum cell size, minimum heatmap size, and maximum total width and height."""

_LETTER, _SMALL_LETTER = 9.0, 5.0
"""Font sizes of labels in points: maximum and minimum."""

GOLD = "#d55e00"
"""Colour of frames around what is correct."""


class Panel(NamedTuple):
    """One heatmap of a figure.

    Attributes:
        heading: heading above the heatmap.
        sentence: the sentence pair.
        kind: the distribution.
    """

    heading: str
    sentence: SentencePosterior
    kind: str


def draw(panels: Sequence[Panel], title: str = "", *, ends: bool = True) -> Figure:
    """Draw heatmaps side by side, with a row for each target token.

    The figure is at most about 16 inches wide: for long sentences cells and labels are smaller, and
    only every second or third token has a label.

    Args:
        panels: one or more heatmaps of sentences with the same tokens.
        title: title above all heatmaps.
        ends: also draw the sentence ends.

    Raises:
        ConfigError: if a kind does not exist.
    """
    matrices = [sentence.matrix(kind) for _, sentence, kind in panels]
    first = panels[0].sentence
    rows, columns = (
        len(side) if ends else max(1, inner(side)) for side in (first.target, first.source)
    )
    fonts, missing = families((*first.source, *first.target, title, *(one[0] for one in panels)))
    source = [shown(token, missing) for token in first.source[:columns]]
    target = [shown(token, missing) for token in first.target[:rows]]
    cell = min(_CELL, _WIDEST / len(panels) / columns, _TALLEST / rows)
    width, height = (max(_SMALLEST, cell * count) for count in (columns, rows))
    points = 72 * cell
    letter = float(np.clip(0.6 * points, _SMALL_LETTER, _LETTER))
    step = math.ceil(1.2 * letter / points)
    beside, above = (letter / 72 * max(map(len, side)) for side in (target, source))
    figure = Figure(
        figsize=(len(panels) * (width + 0.2) + 0.7 * beside + 1.2, height + 0.7 * above + 1.0),
        layout="constrained",
    )
    axes: Any = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, panel, matrix in zip(axes, panels, matrices, strict=True):
        image = _heatmap(ax, matrix[:rows, :columns], lines=points > 2 * _SMALL_LETTER)
        heading = ax.set_title(panel.heading, fontsize=10, loc="left", pad=8)
        if panel.heading not in HEADINGS.values():
            heading.set(text=shown(panel.heading, missing), fontfamily=fonts, parse_math=False)
        ax.set_xticks(range(0, columns, step), source[::step], rotation=90)
        ax.set_yticks(range(0, rows, step), target[::step])
        ax.tick_params(length=0, labelsize=letter)
        ax.xaxis.tick_top()
        _gold(ax, panel.sentence)
    texts = [text for ax in axes for text in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    if title:
        texts.append(figure.suptitle(shown(title, missing), x=0.01, ha="left", fontsize=10))
    for text in texts:
        text.set_fontfamily(fonts)
        text.set_parse_math(False)  # a dollar is a dollar
    figure.colorbar(image, ax=list(axes), label="probability", shrink=0.8, aspect=30, pad=0.02)
    frames, names = axes[0].get_legend_handles_labels()
    if frames:
        figure.legend(
            frames, names, loc="outside lower left", ncols=2, frameon=False, fontsize=_LETTER
        )
    return figure


def check_figure(path: Path) -> None:
    """Check that a figure can be written to a path.

    Raises:
        ConfigError: if the suffix is not supported, or the folder does not exist.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: the name of a figure must end in {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: the folder {path.parent} does not exist: create it first")


def write(figure: Figure, path: Path) -> None:
    """Write a figure to a file; text in SVG and PDF is kept as text.

    Raises:
        ConfigError: see :func:`check_figure`.
        OutputError: if the file cannot be written.
    """
    check_figure(path)
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}):
        figure.savefig(buffer, format=path.suffix[1:], dpi=150)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def _heatmap(ax: Axes, matrix: Floats, *, lines: bool) -> AxesImage:
    image = ax.imshow(matrix, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    ax.spines[:].set_color("0.7")
    if lines:
        ax.set_xticks(np.arange(0.5, matrix.shape[1] - 1), minor=True)
        ax.set_yticks(np.arange(0.5, matrix.shape[0] - 1), minor=True)
        ax.tick_params(which="minor", length=0)
        ax.grid(which="minor", color="0.9", linewidth=0.5)
    return image


def _gold(ax: Axes, sentence: SentencePosterior) -> None:
    """Draw frames around gold links; the first of each kind has a label for the legend."""
    if sentence.gold is None:
        return
    sure, possible = sentence.gold.sure, sentence.gold.possible - sentence.gold.sure
    for name, links, style in (("sure", sure, "-"), ("possible", possible, (0, (2, 1.5)))):
        for number, (source, target) in enumerate(sorted(links)):
            frame = Rectangle(
                (source - 0.42, target - 0.42),
                0.84,
                0.84,
                fill=False,
                edgecolor=GOLD,
                linewidth=1.3,
                linestyle=style,
                label=f"{name} gold link" if not number else None,
            )
            ax.add_patch(frame)
