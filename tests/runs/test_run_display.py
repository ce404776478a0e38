"""Display of a run: repr, HTML card, history."""

import csv
import re

import numpy as np
import pytest
from runs import copied, shared_run

import pyro_align
from pyro_align.errors import ConfigError, RunError
from pyro_align.runs import Run
from pyro_align.runs.display import facts


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_run())


def test_the_repr_names_folder_and_parts(run):
    names = (run.config.model.name, run.config.guide.name, run.config.objective.name)
    expected = "Run({!r}, model={!r}, guide={!r}, objective={!r})".format(str(run.path), *names)
    assert repr(run) == expected


def test_the_card_in_a_notebook(run, tmp_path):
    found = dict(re.findall(r"<tr><th[^>]*>(.*?)</th><td[^>]*>(.*?)</td></tr>", run._repr_html_()))
    assert found["model"] == run.config.model.name
    assert found["parameters"] == dict(facts(run))["parameters"]
    folder = copied(tmp_path)
    hostile = folder.rename(tmp_path / "<script>")
    assert "<script>" not in pyro_align.load(hostile)._repr_html_()


def test_history_equals_the_metrics_file(run):
    with (run.path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    history = run.history
    assert list(history) == list(rows[0])
    assert history["step"].tolist() == [int(row["step"]) for row in rows]
    for name in ("train/perplexity", "valid/elbo"):
        for value, row in zip(history[name], rows, strict=True):
            assert np.isnan(value) if not row[name] else value == float(row[name])


def test_history_ignores_an_incomplete_last_row(tmp_path):
    folder = copied(tmp_path)
    whole = len(pyro_align.load(folder).history)
    with (folder / "metrics.csv").open("a") as file:
        file.write("7,3,5.1,-2.")
    assert len(pyro_align.load(folder).history) == whole


def test_a_run_without_metrics_has_no_history(tmp_path):
    folder = copied(tmp_path)
    header, *_ = (folder / "metrics.csv").read_text().splitlines()
    (folder / "metrics.csv").write_text(header + "\n")
    with pytest.raises(RunError, match="no metrics have been logged"):
        _ = Run.resume(folder).history
    (folder / "metrics.csv").unlink()
    with pytest.raises(RunError, match="fit the run first"):
        _ = Run.resume(folder).history


def test_the_plot_has_every_measured_point(run, tmp_path):
    figure = run.plot_history(tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")
    history = run.history
    for ax, metric in zip(figure.axes, ("perplexity", "elbo", "kl"), strict=True):
        for line, split in zip(ax.lines, ("train", "valid"), strict=True):
            rows = history.dropna(subset=f"{split}/{metric}")
            assert line.get_xdata().tolist() == rows["step"].tolist()
            assert line.get_ydata().tolist() == rows[f"{split}/{metric}"].tolist()
    with pytest.raises(ConfigError, match=r"history\.doc"):
        run.plot_history(tmp_path / "history.doc")
