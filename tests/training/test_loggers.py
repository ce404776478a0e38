"""Experiment trackers: logging, resuming, and missing packages."""

import json
import sys
from types import SimpleNamespace

import pytest
from lightning.pytorch import loggers
from lightning.pytorch.loggers.logger import Logger
from runs import fitted, shared_corpus, shared_run, tiny_config, unfinished
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pyro_align.config import Config
from pyro_align.errors import ConfigError
from pyro_align.runs import Run
from pyro_align.training import check_machine
from pyro_align.training.loggers import open_loggers
from pyro_align.training.logs import MetricsCSV

TRACKERS = ("tensorboard", "wandb", "mlflow")


def configured(logger, **changes):
    fast = {"network__cell": "gru", "objective__name": "enumerated", "training__epochs": 1}
    return tiny_config(shared_corpus(), **fast, training__logger=logger, **changes)


class Recorder(Logger):
    """A replacement for a tracker's logger, which would need the tracker."""

    def __init__(self, **options):
        super().__init__()
        self.options = options
        self.rows, self.settings, self.is_finished = [], {}, False
        self.experiment = SimpleNamespace(finish=self._finish)

    name = "recorder"

    @property
    def version(self):
        return self.options.get("id") or self.options.get("run_id") or "made-by-the-server"

    def log_metrics(self, metrics, step=None):
        self.rows.append(metrics)

    def log_hyperparams(self, params):
        self.settings = params

    def _finish(self):
        self.is_finished = True


@pytest.fixture
def made(monkeypatch):
    """Loggers created instead of those of W&B and MLflow."""
    found = []

    def make(**options):
        found.append(Recorder(**options))
        return found[-1]

    monkeypatch.setattr(loggers, "WandbLogger", make)
    monkeypatch.setattr(loggers, "MLFlowLogger", make)
    mlflow = SimpleNamespace(get_tracking_uri=lambda: "file:///tracked", __spec__=1)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(__spec__=1))
    return found


def test_tensorboard(tmp_path):
    folder = fitted(configured("tensorboard"), tmp_path / "run").path
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    metrics = Run.load(folder).path / "metrics.csv"
    header, *rows = (line.split(",") for line in metrics.read_text().splitlines())
    for name in ("train/perplexity", "valid/perplexity", "valid/kl"):
        (event,) = events.Scalars(name)
        (written,) = (row[header.index(name)] for row in rows if row[header.index(name)])
        assert event.value == pytest.approx(float(written), rel=1e-5)
    assert not (shared_run() / "tensorboard").exists()
    assert not (shared_run() / "logger.json").exists()


@pytest.mark.parametrize(
    ("name", "id_option", "kept"),
    [("wandb", "id", None), ("mlflow", "run_id", "made-by-the-server")],
)
def test_a_tracker_gets_metrics_and_settings_and_is_resumed(tmp_path, made, name, id_option, kept):
    run = fitted(configured(name, training__max_steps=3), tmp_path / "run")
    (first,) = made
    assert {"train/perplexity", "valid/perplexity"} <= {key for row in first.rows for key in row}
    assert first.settings["training"]["logger"] == name
    assert first.settings["seed"] == run.config.seed
    assert first.is_finished == (name == "wandb")
    assert json.loads((run.path / "logger.json").read_text()) == {name: kept or first.options["id"]}
    Run.resume(unfinished(run.path)).fit(echo=lambda line: None)
    _, second = made
    assert second.options[id_option] == first.version
    assert (run.path / "metrics.csv").is_file()


def test_a_tracker_that_cannot_be_started(tmp_path, made, monkeypatch):
    def fail(**options):
        raise RuntimeError("no such server")

    monkeypatch.setattr(loggers, "MLFlowLogger", fail)
    with (
        pytest.raises(ConfigError, match=r"'mlflow'.*no such server.*training\.logger=csv"),
        open_loggers(configured("mlflow"), tmp_path, 0),
    ):
        pass
    assert not (tmp_path / "logger.json").exists()


def test_csv_is_the_default(tmp_path):
    with open_loggers(Config.load(), tmp_path, 0) as found:
        assert [type(one) for one in found] == [MetricsCSV]


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_named_with_its_install_command(monkeypatch, name):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"'{name}' needs .*pip install 'pyro-align\[{name}\]'"):
        check_machine(configured(name).training)
    check_machine(configured("csv").training)


def test_the_earlier_setting_for_tensorboard():
    assert Config.load(settings=["training.tensorboard=true"]).training.logger == "tensorboard"
    assert Config.load(settings=["training.tensorboard=false"]).training.logger == "csv"
