"""A run that is killed with SIGKILL and resumed equals an uninterrupted run exactly."""

import csv
import shutil
import signal
import time
from functools import partial

import kill
import pytest
import torch
from runs import assert_same, checkpoint, tiny_config, write_corpus
from safetensors.torch import load_file

KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A corpus, a configuration with all training state, and an uninterrupted run."""
    folder = tmp_path_factory.mktemp("kill")
    config = tiny_config(
        write_corpus(folder / "text", train=18, valid=6),
        network__cell="gru",
        network__dropout=0.3,
        objective__name="score-function",
        training__accumulate=2,
        training__checkpoint_every=2,
        training__epochs=3,
        training__learning_rate=0.02,
        training__schedule="plateau",
        training__average=0.9,
        training__patience=0,
        training__kl_schedule="cyclical",
        training__kl_steps=4,
    )
    assert kill.run(kill.create, config, folder / "whole") == 0
    assert kill.run(kill.resume, folder / "whole") == 0
    return config, folder


@pytest.fixture
def begun(world, tmp_path):
    """A run that is created and not yet fitted."""
    config, _ = world
    assert kill.run(kill.create, config, tmp_path / "run") == 0
    return tmp_path / "run"


def rows(folder):
    """Metrics without time."""
    time = dict.fromkeys(("train/tokens_per_second", "train/seconds"), "")
    with (folder / "metrics.csv").open(newline="") as file:
        return [{**row, **time} for row in csv.DictReader(file)]


def assert_equal_runs(folder, whole):
    weights = "weights.safetensors"
    assert (folder / weights).read_bytes() == (whole / weights).read_bytes()
    assert_same(checkpoint(folder), checkpoint(whole))
    assert len(rows(whole)) > 3
    assert rows(folder) == rows(whole)
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}
    assert not list(folder.rglob("*.part"))


def test_the_run_exercises_all_training_state(world):
    _, folder = world
    metrics = rows(folder / "whole")
    assert len({row["train/kl_weight"] for row in metrics}) > 2
    # The learning rate falls after the second epoch of three.
    trained = [row for row in metrics if row["train/learning_rate"]]
    rates = {row["epoch"]: float(row["train/learning_rate"]) for row in trained}
    assert rates == {"1": 0.02, "2": 0.02, "3": 0.01}
    assert checkpoint(folder / "whole")["epochs"] == 2


@pytest.mark.parametrize("moments", kill.WHILE_FITTING)
def test_killed_several_times(world, begun, moments):
    _, folder = world
    for moment in kill.WHILE_FITTING[moments]:
        assert kill.run(kill.resume, begun, partial(*moment)) == KILLED, moment
    assert kill.run(kill.resume, begun) == 0
    assert_equal_runs(begun, folder / "whole")


def test_killed_from_outside(world, begun):
    _, folder = world
    process = kill.start(kill.resume, begun)
    while not (begun / "checkpoints" / "last.ckpt").exists():
        assert process.is_alive()
        time.sleep(0.01)
    time.sleep(0.1)
    process.kill()
    process.join(60)
    assert process.exitcode == KILLED
    assert kill.run(kill.resume, begun) == 0
    assert_equal_runs(begun, folder / "whole")


@pytest.mark.parametrize("moment", kill.WHILE_MAKING)
def test_killed_while_the_run_is_created(world, tmp_path, moment):
    config, folder = world
    made = tmp_path / "run"
    assert kill.run(kill.create, config, made, partial(*kill.WHILE_MAKING[moment])) == KILLED
    # At most an empty folder is left, which reserves the path.
    assert not made.exists() or not list(made.iterdir())
    assert kill.run(kill.create, config, made) == 0
    assert sorted(path.name for path in made.iterdir()) == [
        "config.toml",
        "data.json",
        "identity.json",
        "run.json",
        "source.model",
        "target.model",
    ]
    for name in ("source.model", "target.model", "data.json", "config.toml", "identity.json"):
        assert (made / name).read_bytes() == (folder / "whole" / name).read_bytes()
    assert not list(tmp_path.glob(".*"))


@pytest.fixture(scope="module")
def swapped(world, tmp_path_factory):
    """An uninterrupted run with a new guide for the model of a deleted run."""
    _, folder = world
    old = shutil.copytree(folder / "whole", tmp_path_factory.mktemp("swap") / "old")
    made, whole = old.with_name("made"), old.with_name("whole")
    assert kill.run(kill.swap_guide, old, "posterior-mixture", made) == 0
    for moment in kill.WHILE_SWAPPING:
        arguments = (old, "posterior-mixture", whole, partial(*moment))
        assert kill.run(kill.swap_guide, *arguments) == KILLED
        assert not whole.exists() or not list(whole.iterdir())
    shutil.rmtree(old)
    shutil.copytree(made, whole, dirs_exist_ok=True)
    assert kill.run(kill.resume, whole) == 0
    return made, whole


def test_a_new_guide_on_a_frozen_model_killed_several_times(swapped, tmp_path):
    made, whole = swapped
    begun = shutil.copytree(made, tmp_path / "run")
    for moment in kill.WITH_A_NEW_GUIDE:
        assert kill.run(kill.resume, begun, partial(*moment)) == KILLED, moment
    assert kill.run(kill.resume, begun) == 0
    assert_equal_runs(begun, whole)
    start, end = (load_file(begun / f"{name}.safetensors") for name in ("start", "weights"))
    unchanged = {name for name in start if torch.equal(start[name], end[name])}
    assert {name.partition(".")[0] for name in unchanged} == {"model"}
    assert {name for name in start if name.startswith("model.")} == unchanged


def test_a_finished_run_is_unchanged(world, begun):
    _, folder = world
    assert kill.run(kill.resume, begun) == 0
    assert kill.run(kill.resume, begun) == 0
    assert_equal_runs(begun, folder / "whole")
