"""Training curves of a run for its report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pandas import DataFrame

from pyro_align.errors import RunError
from pyro_align.runs.report.charts import Axis, Series, chart
from pyro_align.runs.run import Run

_NAMES = {"train": "training", "valid": "validation"}


def training(run: Run) -> list[str]:
    """Return training curves as HTML figures; an empty list if there are no metrics."""
    try:
        history = run.history
    except RunError:
        return []
    charts = []
    for label, columns, logarithmic in (
        ("perplexity, logarithmic", ("train/perplexity", "valid/perplexity"), True),
        ("ELBO, nats per target token", ("train/elbo", "valid/elbo"), False),
        ("KL(guide ‖ prior), nats per target token", ("train/kl", "valid/kl"), False),
    ):
        lines = list(_lines(history, columns, logarithmic))
        if lines:
            points = [point for line in lines for point in line.points]
            x = Axis.around("optimiser step", [step for step, _ in points])
            y = Axis.around(label, [value for _, value in points], logarithmic)
            charts.append(f"<figure>{chart(lines, x, y)}</figure>")
    return charts


def _lines(history: DataFrame, columns: Sequence[str], logarithmic: bool) -> Iterator[Series]:
    """One line for every column that has finite values."""
    for column in columns:
        points = [
            (float(step), float(value))
            for step, value in zip(history["step"], history[column], strict=True)
            if np.isfinite(value) and (value > 0 or not logarithmic)
        ]
        if points:
            yield Series(_NAMES[column.partition("/")[0]], points)
