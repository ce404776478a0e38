"""What a run's folder says about it: its parts and sizes, its results, its training."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pyro_align.config import Component
from pyro_align.report.charts import Axis, Series, chart
from pyro_align.run import Run
from pyro_align.run_folder import read_facts

_RESULTS = (
    ("perplexity", "perplexity, a piece", 3),
    ("log_evidence", "log evidence, nats a piece", 4),
    ("elbo", "ELBO, nats a piece", 4),
    ("kl", "KL(guide ‖ prior), nats a piece", 4),
    ("gap", "KL(guide ‖ exact posterior), nats a piece", 4),
    ("bleu", "BLEU", 2),
    ("chrf", "chrF", 2),
    ("sentences", "sentence pairs", 0),
    ("fit_seconds", "seconds of training", 0),
)

_TEXTS = {"train": "training", "valid": "validation"}


def facts(run: Run) -> list[tuple[str, str]]:
    """Names and values of a run's parts and sizes.

    Raises:
        RunError: if a file of the run is damaged.
    """
    config = run.config
    network = config.network
    status = read_facts(run.path / "run.json")
    layers = "layer" if network.encoder_layers == 1 else "layers"
    rows = [
        ("model", _component(config.model)),
        ("guide", _component(config.guide)),
        ("objective", _component(config.objective)),
        (
            "encoder",
            f"{network.encoder_layers} {layers} of {network.cell.upper()}, "
            f"{network.encoder_hidden} a direction",
        ),
        ("decoder", f"{network.decoder_layers} of {network.decoder_hidden}"),
        ("embeddings", str(network.embedding)),
        ("attention", network.attention),
        ("vocabularies", " and ".join(f"{len(one)} pieces" for one in run.vocabularies)),
        ("parameters", _parameters(run)),
        ("seed", str(config.seed)),
        ("status", f"{status.get('status', '?')}, pyro-align {status.get('pyro_align', '?')}"),
    ]
    for name, text in read_facts(run.path / "data.json").items():
        files = ", ".join(map(str, text.get("files", ())))
        rows.append(
            (f"{_TEXTS.get(name, name)} text", f"{text.get('pairs', '?')} sentence pairs ({files})")
        )
    return rows


def results(run: Run) -> list[tuple[str, str]]:
    """Names and values of what the run's own evaluation found; nothing where there was none.

    Raises:
        RunError: if the file is damaged.
    """
    path = run.path / "results.json"
    if not path.is_file():
        return []
    found = read_facts(path)
    rows = [
        (label, f"{found[name]:.{digits}f}")
        for name, label, digits in _RESULTS
        if isinstance(found.get(name), int | float)
    ]
    alignment = found.get("alignment")
    for kind, rate in (alignment if isinstance(alignment, dict) else {}).items():
        rows.append((f"AER of the {kind}", f"{rate['aer']:.4f}"))
    return rows


def training(run: Run) -> list[str]:
    """Training curves, as figures of HTML; nothing where no metrics were written."""
    rows = _metrics(run.path / "metrics.csv")
    charts = []
    for label, columns, logarithmic in (
        ("perplexity, logarithmic", ("train/perplexity", "valid/perplexity"), True),
        ("ELBO, nats a piece", ("train/elbo", "valid/elbo"), False),
        ("KL(guide ‖ prior), nats a piece", ("train/kl", "valid/kl"), False),
    ):
        lines = list(_lines(rows, columns, logarithmic))
        if lines:
            points = [point for line in lines for point in line.points]
            x = Axis.around("optimiser step", [step for step, _ in points])
            y = Axis.around(label, [value for _, value in points], logarithmic)
            charts.append(f"<figure>{chart(lines, x, y)}</figure>")
    return charts


def _lines(
    rows: Sequence[dict[str, float]], columns: Sequence[str], logarithmic: bool
) -> Iterator[Series]:
    """Columns that were measured, one line each."""
    for column in columns:
        points = [
            (row["step"], row[column])
            for row in rows
            if column in row and (row[column] > 0 or not logarithmic)
        ]
        if points:
            yield Series(_TEXTS[column.partition("/")[0]], points)


def _metrics(path: Path) -> list[dict[str, float]]:
    """Finite numbers of every row that has a step."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [dict(_numbers(row)) for row in csv.DictReader(file)]
    return [row for row in rows if "step" in row]


def _numbers(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, text in row.items():
        try:
            value = float(text)
        except (TypeError, ValueError):  # empty where not measured, or cut off by a kill
            continue
        if math.isfinite(value):
            yield name, value


def _component(component: Component) -> str:
    options = ", ".join(f"{name} = {value}" for name, value in component.options.items())
    return f"{component.name} ({options})" if options else component.name


def _parameters(run: Run) -> str:
    model = {id(one): one.numel() for one in run.model.parameters()}
    guide = {id(one): one.numel() for one in run.guide.parameters()}
    own = sum(count for key, count in guide.items() if key not in model)
    total = f"{sum(model.values()):,}"
    return f"{total} of the model, {own:,} of the guide" if own else f"{total} of the model"
