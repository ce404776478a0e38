"""Heatmaps of one sentence pair."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pyro_align.errors import ConfigError
from pyro_align.files import atomic_write
from pyro_align.posterior.fonts import families, shown
from pyro_align.posterior.sentence import Floats, SentencePosterior

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

FORMATS = (".png", ".svg", ".pdf")
"""What a figure can be written as, by the file's ending."""

HEADINGS = {
    "prior": r"prior $p(z_t\,|\,x, y_{<t})$",
    "guide": r"guide $q(z_t\,|\,x, y)$",
    "posterior": r"exact posterior $p(z_t\,|\,x, y)$",
}
"""Above a heatmap."""

_CELL, _SMALLEST, _LARGEST = 0.3, 2.4, 12.0
"""Inches: side of a cell, and least and most of a heatmap."""

_LETTER, _SMALL_LETTER = 9.0, 5.0
"""Points: labels, where there is room, and where there is not."""

_GOLD = "#d55e00"


def draw(sentence: SentencePosterior, kinds: Sequence[str], title: str = "") -> Figure:
    """One heatmap a kind, side by side, with a row for each target token.

    Of a long sentence only every second or third token is written out.

    Raises:
        ConfigError: for a kind that is not there, or none.
    """
    if not kinds:
        raise ConfigError(f"which distribution to plot? there are: {', '.join(sentence.kinds)}")
    matrices = [sentence.matrix(kind) for kind in kinds]
    fonts, missing = families((*sentence.source, *sentence.target, title))
    source = [shown(token, missing) for token in sentence.source]
    target = [shown(token, missing) for token in sentence.target]
    width, height = (
        float(np.clip(_CELL * len(side), _SMALLEST, _LARGEST)) for side in (source, target)
    )
    cell = 72 * min(width / len(source), height / len(target))
    letter = float(np.clip(0.6 * cell, _SMALL_LETTER, _LETTER))
    step = math.ceil(1.2 * letter / cell)
    beside, above = (letter / 72 * max(map(len, side)) for side in (target, source))
    figure = Figure(
        figsize=(len(kinds) * (width + 0.2) + 0.7 * beside + 1.2, height + 0.7 * above + 1.0),
        layout="constrained",
    )
    axes: Any = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for ax, kind, matrix in zip(axes, kinds, matrices, strict=True):
        image = _heatmap(ax, matrix, lines=cell > 2 * _SMALL_LETTER)
        ax.set_title(HEADINGS[kind], fontsize=10, loc="left", pad=8)
        ax.set_xticks(range(0, len(source), step), source[::step], rotation=90)
        ax.set_yticks(range(0, len(target), step), target[::step])
        ax.tick_params(length=0, labelsize=letter)
        ax.xaxis.tick_top()
        _gold(ax, sentence)
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
    """Refuse a path that no figure can be written to.

    Raises:
        ConfigError: if it ends otherwise, or its folder is not there.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: a figure's name ends in {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}: make it first")


def write(figure: Figure, path: Path) -> None:
    """Write a figure to a file; text in SVG and PDF stays text.

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
    """Frame the gold links; the first of each sort is named for the legend."""
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
                edgecolor=_GOLD,
                linewidth=1.3,
                linestyle=style,
                label=f"{name} gold link" if not number else None,
            )
            ax.add_patch(frame)
