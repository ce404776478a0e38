"""Figures of latent vectors of sentences."""

from __future__ import annotations

import io
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from pyro_align.errors import UserError
from pyro_align.posterior.fonts import families, shown

CATEGORIES = 10
"""Maximum number of different values in a legend, one for each colour of the palette."""

_SIZE = (5.2, 4.2)
"""Width and height in inches."""


def scatter(
    coordinates: NDArray[np.float64],
    shares: NDArray[np.float64],
    values: Sequence[Any] | None,
    name: str,
    title: str = "",
) -> Figure:
    """Draw points, coloured by values.

    Args:
        coordinates: ``[point, 2]``.
        shares: fraction of the variance on each axis.
        values: a value for each point; None for one colour.
        name: what the values are.
        title: title of the figure.

    Raises:
        UserError: if there are more than :data:`CATEGORIES` different values that are not numbers.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    ax = figure.subplots()
    dots: dict[str, Any] = {"s": 14, "alpha": 0.75, "linewidths": 0}
    if values is None:
        ax.scatter(*coordinates.T, color="C0", **dots)
    elif all(isinstance(value, Real) and not isinstance(value, bool) for value in values):
        across, up = coordinates.T
        points = ax.scatter(across, up, c=np.asarray(values, float), cmap="viridis", **dots)
        figure.colorbar(points, label=name)
    else:
        _with_legend(ax, coordinates, [str(value) for value in values], name, dots)
    ax.set_xlabel(f"principal axis 1 ({shares[0]:.0%} of the variance)")
    ax.set_ylabel(f"principal axis 2 ({shares[1]:.0%} of the variance)")
    _finish(ax, title)
    return figure


def _with_legend(
    ax: Any, coordinates: NDArray[np.float64], values: list[str], name: str, dots: dict[str, Any]
) -> None:
    """Draw points of each different value in a colour of its own."""
    different = sorted(set(values))
    if len(different) > CATEGORIES:
        raise UserError(
            f"there are {len(different)} different values to colour by, and colours for "
            f"{CATEGORIES}: group them, or give numbers"
        )
    fonts, missing = families([*different, name])
    column = np.asarray(values, dtype=object)
    for number, value in enumerate(different):
        chosen = coordinates[column == value]
        ax.scatter(*chosen.T, color=f"C{number}", label=shown(value, missing), **dots)
    legend = ax.legend(title=shown(name, missing) or None, fontsize=8, title_fontsize=8)
    for text in legend.get_texts():
        text.set(fontfamily=fonts, parse_math=False)


def bars(divergences: NDArray[np.float64], title: str = "") -> Figure:
    """Draw a bar for each dimension, largest first.

    Args:
        divergences: KL divergence of each dimension, in nats.
        title: title of the figure.
    """
    order = np.argsort(-divergences, kind="stable")
    width = max(_SIZE[0], 0.16 * len(order) + 1)
    figure = Figure(figsize=(min(width, 14.0), 3.0), layout="constrained")
    ax = figure.subplots()
    places = np.arange(len(order))
    ax.bar(places, divergences[order], color="C0", width=0.8)
    step = max(1, len(order) // 32)
    ax.set_xticks(places[::step], order[::step] + 1, fontsize=7)
    ax.set_xlabel("dimension")
    ax.set_ylabel("KL(guide ‖ prior), nats")
    total = f"sum {divergences.sum():.2f} nats per sentence"
    _finish(ax, f"{title}\n{total}" if title else total)
    return figure


def _finish(ax: Any, title: str) -> None:
    ax.set_title(title, fontsize=10, loc="left", parse_math=False)
    ax.spines[["top", "right"]].set_visible(False)


def as_png(figures: Sequence[Figure]) -> bytes:
    """Draw figures below each other into one PNG file."""
    images = []
    for figure in figures:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        images.append(Image.open(buffer).convert("RGB"))
    width, height = max(each.width for each in images), sum(each.height for each in images)
    sheet = Image.new("RGB", (width, height), "white")
    top = 0
    for image in images:
        sheet.paste(image, (0, top))
        top += image.height
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()
