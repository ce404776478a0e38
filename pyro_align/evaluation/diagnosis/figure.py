"""Figure of a diagnosis."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from pyro_align.evaluation.diagnosis.result import Diagnosis
from pyro_align.posterior.figure import check_figure as check_figure
from pyro_align.posterior.figure import write

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from pandas import DataFrame

    Floats = NDArray[np.float64]

_NOISE, _BIAS, _TIME = "#0072b2", "#d55e00", "#8c8c8c"
_NOTHING = 1e-5
"""Noise below this is rounding error."""

_ROW, _MARGIN = 0.34, 1.5
"""Heights in inches."""


def draw_figure(diagnosis: Diagnosis, title: str = "") -> Figure:
    """Plot noise and bias of the gradients of each objective, on log axes, and time per step.

    Zero noise is labelled, and only a significant bias is shown.
    """
    frame = diagnosis.to_frame()
    parts = [name for name in ("guide", "model") if frame[f"{name}_signal"].notna().any()]
    figure = Figure(figsize=(10, _MARGIN + _ROW * len(frame)), layout="constrained")
    axes = figure.subplots(
        1, len(parts) + 1, sharey=True, squeeze=False, width_ratios=[*[3] * len(parts), 2]
    )[0]
    for name, ax in zip(parts, axes, strict=False):
        _gradient(ax, frame, name)
    _seconds(axes[-1], frame)
    axes[0].set_yticks(range(len(frame)), list(frame.index))
    axes[0].set_ylim(len(frame) - 0.4, -0.6)
    for ax in axes:
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.set_axisbelow(True)
    entries: dict[str, Artist] = {}
    for ax in axes:
        handles, texts = ax.get_legend_handles_labels()
        entries.update(zip(texts, handles, strict=True))
    if entries:
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=2,
            frameon=False,
        )
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize="medium")
    return figure


def write_figure(diagnosis: Diagnosis, path: Path, title: str = "") -> None:
    """Write :func:`draw_figure` to a file.

    Raises:
        ConfigError: see :func:`check_figure`.
        OutputError: if the file cannot be written.
    """
    write(draw_figure(diagnosis, title), path)


def _gradient(ax: Axes, frame: DataFrame, name: str) -> None:
    """Plot noise and bias of the gradient for one program."""
    rows = np.arange(len(frame))
    noise, noise_error, bias, bias_error = (
        frame[f"{name}_{measure}"].to_numpy(dtype=float)
        for measure in ("noise_to_signal", "noise_to_signal_error", "bias", "bias_error")
    )
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    positive = noise > _NOTHING
    found = np.array([biased is True for biased in frame[f"{name}_biased"]])
    series = (
        (noise, noise_error, positive, "o", _NOISE, "noise of one sample"),
        (bias, bias_error, found, "D", _BIAS, "bias, if significant"),
    )
    for value, error, shown, marker, color, text in series:
        if shown.any():
            bars = _bars(value, error)[:, shown]
            ax.errorbar(
                value[shown], rows[shown], xerr=bars, fmt=marker, color=color, label=text, mew=1.3
            )
    for row in rows[~positive & ~np.isnan(noise)]:
        ax.annotate(
            "no noise",
            (0.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize="small",
            color="0.35",
            backgroundcolor="white",
        )
    points = np.concatenate([noise[positive], bias[found]])
    if points.size:
        # At least two decades, because shorter logarithmic axes get no labels.
        middle = math.sqrt(points.min() * points.max())
        half = max(10.0, 1.5 * math.sqrt(points.max() / points.min()))
        ax.set_xlim(middle / half, middle * half)
    ax.xaxis.set_visible(points.size > 0)
    ax.grid(axis="both", color="0.92")
    ax.set_xlabel("relative to the reference gradient")
    ax.set_title(f"gradient for the {name}", fontsize="medium", loc="left")


def _bars(value: Floats, error: Floats) -> Floats:
    """Return error bars that are symmetric on a logarithmic axis."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([value * error / (value + error), error])


def _seconds(ax: Axes, frame: DataFrame) -> None:
    """Plot the time per step."""
    milliseconds = 1000 * frame["seconds"].to_numpy(dtype=float)
    bars = ax.barh(np.arange(len(frame)), milliseconds, height=0.6, color=_TIME)
    ax.bar_label(bars, fmt="%.3g", padding=3, fontsize="small")
    ax.margins(x=0.15)
    ax.grid(axis="x", color="0.92")
    ax.set_xlabel("milliseconds")
    ax.set_title("time per step", fontsize="medium", loc="left")
