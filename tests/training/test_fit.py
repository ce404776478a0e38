"""Complete fits: reproducibility, logging and stopping."""

import csv
import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from runs import (
    SETTINGS,
    checkpoint,
    copied,
    fitted,
    settings,
    shared_corpus,
    shared_run,
    tiny_config,
    unfinished,
)
from safetensors.torch import load_file
from torch import nn

import pyro_align
from pyro_align.config import Config
from pyro_align.errors import ConfigError
from pyro_align.inference import EnumeratedELBO
from pyro_align.training import TrainingModule, check_machine, logs, module

FAST = {
    "network__cell": "gru",
    "objective__name": "enumerated",
    "training__epochs": 1,
    "training__accelerator": "cpu",
}


def fit(folder, **changes):
    return fitted(tiny_config(shared_corpus(), **{**FAST, **changes}), folder / "run").path


def metrics(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def column(folder, name):
    return [float(row[name]) for row in metrics(folder) if row[name]]


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


def test_the_seed_determines_the_run(tmp_path):
    changes = {"objective__name": "score-function", "network__dropout": 0.5}
    first, second, third = (
        fit(tmp_path / str(number), seed=seed, **changes) for number, seed in enumerate([5, 5, 6])
    )
    assert weights(first) == weights(second)
    assert weights(first) != weights(third)


def test_the_global_random_state_does_not_affect_a_run(tmp_path):
    config = tiny_config(shared_corpus(), **FAST)
    run = fitted(config, tmp_path / "a")
    again = pyro_align.runs.run.Run.create(config, tmp_path / "b", echo=lambda line: None)
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)
    again.fit(echo=lambda line: None)
    assert weights(run.path) == weights(again.path)


def test_random_parameters_of_an_objective_are_seeded(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\n"
        "from pyro_align.inference import EnumeratedELBO\n"
        "class Mine(EnumeratedELBO):\n"
        "    def module(self, model):\n"
        "        return nn.Linear(3, 3)\n"
    )
    made = []
    for number in range(2):
        torch.manual_seed(number)
        folder = fit(tmp_path / str(number), objective__name=f"{file}:Mine")
        made.append(checkpoint(folder)["state_dict"]["elbo.objective.weight"])
    assert torch.equal(*made)


def test_loading_keeps_the_global_random_state(tmp_path):
    folder = shared_run()
    before = torch.get_rng_state()
    pyro_align.load(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_columns_and_rows_of_the_metrics():
    with (shared_run() / "metrics.csv").open() as file:
        assert next(file).strip().split(",") == list(logs.COLUMNS)
    rows = metrics(shared_run())
    valid = [row for row in rows if row["valid/perplexity"]]
    trained = [row for row in rows if row["train/perplexity"]]
    assert [row["epoch"] for row in valid] == ["1", "2", "3"]
    assert {row["epoch"] for row in trained} == {"1", "2", "3"}
    steps = [int(row["step"]) for row in rows]
    assert steps == sorted(steps)
    assert len({(row["step"], bool(row["valid/perplexity"])) for row in rows}) == len(rows)
    for row in valid:
        # The KL weight is one, so the bound is below the evidence.
        assert float(row["valid/elbo"]) < -math.log(float(row["valid/perplexity"]))
    for row in trained:
        expected = math.exp(-float(row["train/elbo"]))
        assert float(row["train/perplexity"]) == pytest.approx(expected, rel=1e-4)
        assert float(row["train/learning_rate"]) == SETTINGS["training.learning_rate"]
        assert float(row["train/tokens_per_second"]) > 0
        assert float(row["train/kl"]) > 0


def test_steps_count_from_one_and_rows_follow_the_interval(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "LOG_EVERY", 2)
    folder = fit(tmp_path, training__accumulate=2, training__max_steps=5, training__epochs=9)
    trained = [int(row["step"]) for row in metrics(folder) if row["train/perplexity"]]
    per_epoch = int(
        metrics(folder)[[bool(r["valid/elbo"]) for r in metrics(folder)].index(True)]["step"]
    )
    assert trained == sorted({2, 4, 5} | {per_epoch})


def test_one_line_per_epoch(tmp_path, capsys):
    fit(tmp_path, training__epochs=2)
    lines = capsys.readouterr().err.splitlines()
    assert [line[:9] for line in lines] == ["epoch   1", "epoch   2"]
    for line in lines:
        assert "valid perplexity" in line
        assert "ELBO" in line
        assert "KL" in line
        assert "tokens/s" in line


def test_early_stopping(tmp_path):
    folder = fit(
        tmp_path, training__epochs=9, training__learning_rate=1e-30, training__early_stopping=1
    )
    assert len(column(folder, "valid/perplexity")) == 2


def test_patience_zero_never_stops(tmp_path):
    folder = fit(
        tmp_path, training__epochs=4, training__learning_rate=1e-30, training__early_stopping=0
    )
    assert len(column(folder, "valid/perplexity")) == 4


def test_epochs_are_added_until_there_are_enough_steps(tmp_path):
    per_epoch = int(metrics(fit(tmp_path / "a"))[-1]["step"])
    changes = {"training__schedule": "cosine", "training__early_stopping": 0}
    wanted = 2 * per_epoch + 1
    echoed = []
    config = tiny_config(shared_corpus(), **{**FAST, **changes}, training__min_steps=wanted)
    folder = tmp_path / "b" / "run"
    pyro_align.runs.run.Run.create(config, folder, echo=echoed.append).fit(echo=echoed.append)
    assert [int(row["step"]) for row in metrics(folder)][-1] == 3 * per_epoch
    assert sum("3 epochs instead of 1" in line for line in echoed) == 1
    # The learning rate falls over all of them: that of the last step is nearly 0.
    rates = column(folder, "train/learning_rate")
    assert rates[-1] < 0.3 * rates[0]
    # Enough epochs are left as they are.
    enough = fit(tmp_path / "c", training__min_steps=per_epoch)
    assert int(metrics(enough)[-1]["step"]) == per_epoch


def spoil_weights_from_the_second_epoch_on(monkeypatch):
    """With zero weights all tokens are equally likely; one epoch of training is better."""

    def spoiled(self):
        begin(self)
        if self.current_epoch:
            with torch.no_grad():
                for parameter in self.parameters():
                    parameter.zero_()

    begin = TrainingModule.on_train_epoch_start
    monkeypatch.setattr(TrainingModule, "on_train_epoch_start", spoiled)


@pytest.mark.parametrize(("keep", "epoch"), [("best", 0), ("last", 2)])
def test_the_best_or_the_last_weights_are_kept(tmp_path, monkeypatch, keep, epoch):
    spoil_weights_from_the_second_epoch_on(monkeypatch)
    folder = fit(tmp_path, training__epochs=3, training__keep=keep)
    perplexities = column(folder, "valid/perplexity")
    assert len(perplexities) == 3
    run = pyro_align.load(folder)
    text = run.task.text("test")
    result = run.evaluate(text, translate=False)
    assert result.positions.perplexity == pytest.approx(perplexities[epoch], rel=1e-5)
    assert perplexities[0] + 1 < min(perplexities[1:])  # otherwise this test could not fail


def test_a_limit_of_steps_in_the_middle_of_an_epoch(tmp_path):
    folder = fit(tmp_path, training__max_steps=2)
    assert [row["step"] for row in metrics(folder) if row["valid/elbo"]] == ["2"]
    assert checkpoint(folder)["global_step"] < 2
    before = weights(folder)
    pyro_align.runs.run.Run.resume(folder).fit(echo=lambda line: None)
    assert weights(folder) == before
    assert [row["step"] for row in metrics(folder) if row["valid/elbo"]] == ["2"]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [1, 1, 1, 1]), ("linear", [0, 0.25, 0.5, 0.75]), ("cyclical", [0, 0.5, 1, 1])],
)
def test_kl_schedules(tmp_path, monkeypatch, schedule, expected):
    seen = []
    terms = EnumeratedELBO.terms

    def watched(self, *arguments):
        found = terms(self, *arguments)
        seen.append((self.step, self.kl_weight))
        bound = found.log_likelihood - self.kl_weight * found.total_kl
        assert found.loss.item() == pytest.approx(-bound.item(), rel=1e-5)
        return found

    monkeypatch.setattr("pyro_align.runs.run.try_programs", lambda config: None)  # training alone
    monkeypatch.setattr(EnumeratedELBO, "terms", watched)
    monkeypatch.setattr(logs, "LOG_EVERY", 1)
    folder = fit(
        tmp_path, training__kl_schedule=schedule, training__kl_steps=4, training__max_steps=4
    )
    assert seen == list(enumerate(expected))
    assert column(folder, "train/kl_weight") == expected
    pyro_align.load(folder)


def test_bf16_has_losses_and_weights_in_fp32(tmp_path, monkeypatch):
    dtypes = set()
    terms = EnumeratedELBO.terms

    def watched(self, model, guide, batch):
        found = terms(self, model, guide, batch)
        assert torch.is_autocast_enabled("cpu")
        dtypes.update({found.loss.dtype, found.log_likelihood.dtype, found.total_kl.dtype})
        return found

    monkeypatch.setattr("pyro_align.runs.run.try_programs", lambda config: None)  # training alone
    monkeypatch.setattr(EnumeratedELBO, "terms", watched)
    folder = fit(tmp_path, training__precision="bf16", training__max_steps=2)
    assert dtypes == {torch.float32}
    stored = load_file(folder / "weights.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float32}
    assert column(folder, "valid/perplexity")[0] < 100


def test_devices_and_features_that_are_not_available(monkeypatch):
    def config(**changes):
        return Config.load(settings=settings(**changes))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"training\.accelerator = 'cuda'.*no CUDA.*--device cpu"):
        check_machine(config(training__accelerator="cuda").training)
    check_machine(config(training__devices=2, training__accelerator="auto").training)
    for accelerator in ("auto", "cpu"):
        half = {"training__precision": "bf16", "training__accelerator": accelerator}
        with pytest.raises(ConfigError, match=r"precision = 'bf16' needs a CUDA device.*=fp32"):
            check_machine(config(**half).training, nn.Sequential(nn.LSTM(2, 2)))
        check_machine(config(**half).training, nn.Sequential(nn.GRU(2, 2)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="2 devices requested, but this machine has 1"):
        check_machine(config(training__devices=2, training__accelerator="auto").training)
    check_machine(config(training__devices=2, training__accelerator="cpu").training)
    check_machine(config(training__precision="bf16", training__accelerator="auto").training)
    half = {"training__precision": "bf16", "training__accelerator": "cpu"}
    with pytest.raises(ConfigError, match="bf16"):
        check_machine(config(**half).training, nn.LSTM(2, 2))


def test_metrics_after_a_resume_have_no_duplicate_rows(tmp_path):
    folder = copied(tmp_path)
    before = metrics(folder)
    with (folder / "metrics.csv").open("a") as file:
        file.write("7,3,5.1,-2.")  # an incomplete row, as after a kill
    pyro_align.runs.run.Run.resume(unfinished(folder)).fit(echo=lambda line: None)
    slow = dict.fromkeys(("train/tokens_per_second", "train/seconds"), "")
    assert [{**row, **slow} for row in metrics(folder)] == [{**row, **slow} for row in before]


class Clock:
    """A clock that advances a second per training step and an hour per validation batch."""

    def __init__(self, monkeypatch, now):
        self.now = now
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: self.now))
        for step, seconds in (("training_step", 1), ("validation_step", 3600)):
            self.count(monkeypatch, step, seconds)

    def count(self, monkeypatch, name, seconds):
        step = getattr(TrainingModule, name)

        def counted(*arguments):
            self.now += seconds
            return step(*arguments)

        monkeypatch.setattr(TrainingModule, name, counted)


def test_seconds_count_only_training(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "LOG_EVERY", 1)
    with monkeypatch.context() as patched:
        Clock(patched, now=70)
        folder = fit(tmp_path, training__epochs=2)
    steps = column(folder, "train/seconds")
    assert steps == [float(number) for number in range(1, len(steps) + 1)]
    assert set(column(folder, "train/tokens_per_second")) <= set(map(float, range(1, 999)))
    before = metrics(folder)
    with monkeypatch.context() as patched:
        Clock(patched, now=-9000)
        pyro_align.runs.run.Run.resume(folder).fit(echo=lambda line: None)
    assert column(folder, "train/seconds") == steps
    assert metrics(folder) == before
