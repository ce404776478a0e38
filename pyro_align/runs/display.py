"""Display of a run: its summary card, and its training history as a table and a plot."""

from __future__ import annotations

import csv
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyro_align.config import Component, Config
from pyro_align.errors import RunError
from pyro_align.evaluation.quantities import QUANTITIES, aer_label, named
from pyro_align.runs.folder import read_facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from pyro_align.tasks import Task

_RESULTS = (
    "perplexity",
    "log_evidence",
    "elbo",
    "kl",
    "gap",
    "bleu",
    "chrf",
    "word_error_rate",
    "symbol_error_rate",
    "mean_edit_distance",
    "word_accuracy",
    "nll",
    "answer_accuracy",
    "vqa_accuracy",
    "sentences",
    "fit_seconds",
)
"""Quantities on the card of a run."""

_PARTS = {"train": "training data", "valid": "validation data"}

CURVES = {"perplexity": "log", "elbo": "linear", "kl": "linear"}
"""Quantities of the training history that are plotted, with the scale of the axis."""


class RunDisplay:
    """Mixin of :class:`pyro_align.runs.run.Run` that displays it.

    In a notebook, a run is displayed as a card with its components, sizes, text and results.
    """

    path: Path
    config: Config
    task: Task
    model: Any
    guide: Any

    def __repr__(self) -> str:
        config = self.config
        return (
            f"Run({str(self.path)!r}, model={config.model.name!r}, guide={config.guide.name!r}, "
            f"objective={config.objective.name!r})"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align:left">{escape(name)}</th>'
            f'<td style="text-align:left">{escape(value)}</td></tr>'
            for name, value in (*facts(self), *results(self))
        )
        return f"<table><caption>{escape(str(self.path))}</caption><tbody>{rows}</tbody></table>"

    @property
    def history(self) -> DataFrame:
        """Training metrics, one row per measurement, as in ``metrics.csv``.

        Columns are :data:`pyro_align.training.logs.COLUMNS`; a metric that was not measured in a
        row is NaN. During a fit, the frame holds the rows written so far.

        Raises:
            RunError: if nothing has been logged yet.
        """
        import pandas as pd

        path = self.path / "metrics.csv"
        try:
            with path.open(newline="", encoding="utf-8") as file:
                # An interrupted fit may leave the last row incomplete.
                rows = [row for row in csv.DictReader(file) if None not in row.values()]
        except FileNotFoundError:
            raise RunError(f"{path}: no such file: fit the run first") from None
        if not rows:
            raise RunError(f"{path}: no metrics have been logged yet")
        return pd.DataFrame(rows).apply(pd.to_numeric, errors="coerce")

    def plot_history(self, path: Path | str | None = None) -> Figure:
        """Plot perplexity, ELBO and KL divergence over optimiser steps.

        Args:
            path: also save the figure to this file, as PNG, SVG or PDF depending on the extension.

        Raises:
            UserError: if nothing has been logged yet, or the file cannot be written.
        """
        from matplotlib.figure import Figure

        from pyro_align.posterior.figure import write

        history = self.history
        figure = Figure(figsize=(11, 3), layout="constrained")
        axes: Any = figure.subplots(1, len(CURVES))
        for ax, (metric, scale) in zip(axes, CURVES.items(), strict=True):
            for split, style in (("train", "-"), ("valid", "o-")):
                rows = history.dropna(subset=f"{split}/{metric}")
                ax.plot(rows["step"], rows[f"{split}/{metric}"], style, ms=4, label=split)
            label = named(QUANTITIES[metric].label_with_unit, self.task.target)
            ax.set(xlabel=QUANTITIES["step"].label, ylabel=label, yscale=scale)
            ax.spines[["top", "right"]].set_visible(False)
        axes[0].legend(frameon=False)
        if path is not None:
            write(figure, Path(path))
        return figure


def facts(run: RunDisplay) -> list[tuple[str, str]]:
    """Return names and values of a run's components and sizes.

    Raises:
        RunError: if a file of the run is damaged.
    """
    config = run.config
    status = read_facts(run.path / "run.json")
    rows = [
        ("model", _component(config.model)),
        ("guide", _component(config.guide)),
        ("objective", _component(config.objective)),
        *run.task.described(),
        ("parameters", _parameters(run)),
        ("seed", str(config.seed)),
        ("status", f"{status.get('status', '?')}, pyro-align {status.get('pyro_align', '?')}"),
    ]
    for name, text in read_facts(run.path / "data.json").items():
        files = ", ".join(map(str, text.get("files", ())))
        rows.append((_PARTS.get(name, name), f"{text.get('pairs', '?')} {run.task.unit} ({files})"))
    return rows


def results(run: RunDisplay) -> list[tuple[str, str]]:
    """Return names and values of the evaluation results stored in the run; empty if there are none.

    Raises:
        RunError: if the results file is damaged.
    """
    path = run.path / "results.json"
    if not path.is_file():
        return []
    found = read_facts(path)
    rows = [
        (
            run.task.unit
            if name == "sentences"
            else named(quantity.label_with_unit, run.task.target),
            f"{found[name]:.{quantity.digits}f}",
        )
        for name, quantity in ((name, QUANTITIES[name]) for name in _RESULTS)
        if isinstance(found.get(name), int | float)
    ]
    alignment = found.get("alignment")
    for kind, rate in (alignment if isinstance(alignment, dict) else {}).items():
        rows.append((aer_label(kind), f"{rate['aer']:.{QUANTITIES['aer'].digits}f}"))
    return rows


def _component(component: Component) -> str:
    options = ", ".join(f"{name} = {value}" for name, value in component.options.items())
    return f"{component.name} ({options})" if options else component.name


def _parameters(run: RunDisplay) -> str:
    from pyro_align.inference.traces import own_parameters  # imports torch

    own = sum(one.numel() for one in own_parameters(run.guide, run.model))
    total = f"{sum(one.numel() for one in run.model.parameters()):,}"
    return f"{total} of the model, {own:,} of the guide" if own else f"{total} of the model"
