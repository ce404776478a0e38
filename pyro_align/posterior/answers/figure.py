"""Figures of one question: its image, shaded by each distribution, and bars of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy import ndarray

from pyro_align.posterior.answers.region_image import RegionImage
from pyro_align.posterior.figure import GOLD
from pyro_align.posterior.fonts import families, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pyro_align.posterior.answers.question import QuestionPosterior

HEADINGS = {
    "prior": r"prior $p(z\,|\,x)$",
    "guide": r"guide $q(z\,|\,x, y)$",
    "posterior": r"exact posterior $p(z\,|\,x, y)$",
}
"""Headings of the images; ``x`` is the image and the question, ``y`` the answer."""

_SIDE = 2.6
"""Inches of the longest side of an image."""

_VEIL = 0.62
"""How far the image is covered in a region of probability 0."""

_LABELLED = 0.05
"""Minimum probability of a region with a label."""


def draw(one: QuestionPosterior, kinds: Sequence[str], title: str = "") -> Figure:
    """Draw one question.

    Args:
        one: the question.
        kinds: distributions of the region, one image each.
        title: title above the figure.

    Raises:
        ConfigError: if a kind does not exist.
    """
    probabilities = [one.regions(kind) for kind in kinds]
    fonts, missing = families((one.question.text, title, *one.answers))
    width, height = (
        _SIDE * side / max(one.image.width, one.image.height)
        for side in (one.image.width, one.image.height)
    )
    figure = Figure(
        figsize=(len(kinds) * (width + 0.2) + 3.4, max(height, 0.25 * len(one.answers)) + 1.1),
        layout="constrained",
    )
    ratios = [*(width for _ in kinds), 2.0]
    *images, bars = figure.subplots(1, len(kinds) + 1, width_ratios=ratios, squeeze=False)[0]
    for ax, kind, values in zip(images, kinds, probabilities, strict=True):
        _image(ax, one.image, values, one.question.regions)
        ax.set_title(HEADINGS[kind], fontsize=10, loc="left")
    _answers(bars, one, missing)
    scale = ScalarMappable(Normalize(0, 1), "Blues")
    bar = figure.colorbar(scale, ax=images, ticks=[0, 0.5, 1], shrink=0.8, aspect=30, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("probability", fontsize=8)
    heading = figure.suptitle(shown(one.question.text, missing), x=0.01, ha="left", fontsize=11)
    texts = [heading, *bars.get_yticklabels()]
    if title:
        texts.append(figure.supxlabel(shown(title, missing), x=0.01, ha="left", fontsize=8))
    for text in texts:
        text.set_fontfamily(fonts)
        text.set_parse_math(False)  # a dollar is a dollar
    return figure


def _image(
    ax: Axes, image: RegionImage, probabilities: Float[ndarray, " region"], gold: frozenset[int]
) -> None:
    """Draw an image and the frames of its regions, the most probable on top."""
    colours = matplotlib.colormaps["Blues"]
    extent = (0.0, image.width, image.height, 0.0)
    if image.picture is not None:
        pixels = image.picture.pixels()
        veil = _VEIL * (1 - _cover(image, probabilities, pixels.shape[:2]))[..., np.newaxis]
        ax.imshow(pixels + (1 - pixels) * veil, extent=extent, aspect="equal")
    for region in np.argsort(probabilities, kind="stable").tolist():
        value = float(probabilities[region])
        left, top, right, bottom = image.boxes[region] * ([image.width, image.height] * 2)
        box: Any = {"xy": (left, top), "width": right - left, "height": bottom - top}
        colour = colours(value)
        ax.add_patch(
            Rectangle(
                **box,
                facecolor=colour if image.picture is None else "none",
                edgecolor=colour if image.picture is not None else "0.7",
                alpha=min(1.0, 0.35 + 2 * value) if image.picture is not None else 1.0,
                linewidth=1.5 if image.picture is not None else 0.6,
            )
        )
        if region in gold:
            frame = Rectangle(**box, fill=False, edgecolor=GOLD, linewidth=1.6, zorder=3)
            ax.add_patch(frame)
        if value >= _LABELLED:
            label: Any = {"boxstyle": "round,pad=0.15", "facecolor": "white", "linewidth": 0}
            ax.text(left, top, f"{value:.2f}", fontsize=6.5, va="top", bbox=label, zorder=4)
    ax.set(xlim=(0, image.width), ylim=(image.height, 0), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_color("0.7")


def _cover(
    image: RegionImage, probabilities: Float[ndarray, " region"], shape: tuple[int, int]
) -> Float[ndarray, "row column"]:
    """Return for each pixel the probability of the most probable region that contains it."""
    cover = np.zeros(shape)
    for box, value in zip(image.boxes, probabilities, strict=True):
        left, right = np.rint(box[[0, 2]] * shape[1]).astype(int)
        top, bottom = np.rint(box[[1, 3]] * shape[0]).astype(int)
        inside = cover[top : max(bottom, top + 1), left : max(right, left + 1)]
        np.maximum(inside, value, out=inside)
    return cover


def _answers(ax: Axes, one: QuestionPosterior, missing: frozenset[str]) -> None:
    """Draw bars of the answers, the most probable on top; the correct one is outlined."""
    rows = range(len(one.answers))
    ax.barh(rows, one.probabilities, color=matplotlib.colormaps["Blues"](0.55), height=0.7)
    for row, (answer, value) in enumerate(zip(one.answers, one.probabilities, strict=True)):
        ax.text(float(value) + 0.02, row, f"{value:.2f}", va="center", fontsize=8)
        if answer == one.gold:
            frame = Rectangle(
                (0, row - 0.42),
                1.0,
                0.84,
                fill=False,
                edgecolor=GOLD,
                linewidth=1.6,
                label="correct answer",
            )
            ax.add_patch(frame)
    ax.set_yticks(rows, [shown(answer, missing) for answer in one.answers], fontsize=9)
    ax.set(xlim=(0, 1.15), ylim=(len(one.answers) - 0.5, -0.5), xticks=[])
    ax.tick_params(length=0)
    ax.set_title(r"answers $p(y\,|\,x)$", fontsize=10, loc="left")
    ax.spines[["top", "right", "bottom"]].set_visible(False)
