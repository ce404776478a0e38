"""Training curves of a run for its report."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pandas import DataFrame

from pyro_align.errors import RunError
from pyro_align.evaluation.quantities import QUANTITIES, named
from pyro_align.runs.display import CURVES
from pyro_align.runs.report.charts import Axis, Series, chart
from pyro_align.runs.run import Run

_TEXTS = {"train": "training", "valid": "validation"}


def training(run: Run) -> list[str]:
    """Return training curves as HTML figures; an empty list if there are no metrics."""
    try:
        history = run.history
    except RunError:
        return []
    charts = []
    for name, scale in CURVES.items():
        logarithmic = scale == "log"
        label = named(QUANTITIES[name].label_with_unit, run.task.target)
        label += ", logarithmic" if logarithmic else ""
        lines = list(_lines(history, name, logarithmic))
        if lines:
            points = [point for line in lines for point in line.points]
            x = Axis.around(QUANTITIES["step"].label, [step for step, _ in points])
            y = Axis.around(label, [value for _, value in points], logarithmic)
            charts.append(f"<figure>{chart(lines, x, y)}</figure>")
    return charts


def _lines(history: DataFrame, name: str, logarithmic: bool) -> Iterator[Series]:
    """One line for each text on which the quantity has finite values."""
    for split, label in _TEXTS.items():
        column = f"{split}/{name}"
        points = [
            (float(step), float(value))
            for step, value in zip(history["step"], history[column], strict=True)
            if np.isfinite(value) and (value > 0 or not logarithmic)
        ]
        if points:
            yield Series(label, points)
