"""Two processes, or accumulated batches, have the gradient of one process on the whole batch."""

import contextlib
import csv
import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from lightning.pytorch import Trainer
from runs import (
    checkpoint,
    copied,
    fitted,
    settings,
    shared_corpus,
    silent,
    tiny_config,
    unfinished,
)
from support import random_batch, tiny_guide, tiny_model
from torch.testing import assert_close
from torch.utils.data import DataLoader

from pyro_align.config import TrainingConfig
from pyro_align.data.batch import TextBatch
from pyro_align.errors import ConfigError, RunError
from pyro_align.inference import EnumeratedELBO
from pyro_align.runs import Run
from pyro_align.training import TrainingModule
from pyro_align.training.distributed import after_first_process, is_first_process, processes

CHANGES = {
    "network__cell": "gru",
    "network__dropout": 0,
    "objective__name": "enumerated",
    "training__checkpoint_every": 1,
    "training__max_steps": 2,
    "training__epochs": 1,
}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed") / "one"
    return fitted(tiny_config(shared_corpus(), **CHANGES), folder).path


def command(folder, *more):
    corpus = [word for name, paths in shared_corpus().items() for word in (f"--{name}", *paths)]
    changes = [word for setting in settings(**CHANGES) for word in ("--set", setting)]
    return list(map(str, ["-m", "pyro_align", "fit", *corpus, *changes, "--out", folder, *more]))


LAUNCHERS = {
    "pyro-align": lambda folder: command(folder, "--devices", 2),
    "torchrun": lambda folder: [
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *command(folder),
    ],
}


def moments(folder):
    """Running means of the gradient, by parameter."""
    (optimizer,) = checkpoint(folder)["optimizer_states"]
    return {name: state["exp_avg"] for name, state in optimizer["state"].items()}


def metrics(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_equal_one(one, tmp_path, launcher):
    two = tmp_path / "two"
    # What a fit leaves in the environment must not lead the second process to another run.
    launched = subprocess.Popen(
        [sys.executable, *LAUNCHERS[launcher](two)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYRO_ALIGN_RUN": str(one)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = launched.communicate(timeout=300)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(launched.pid, signal.SIGKILL)
    assert launched.returncode == 0, errors
    assert len(re.findall("^epoch ", errors, re.MULTILINE)) == 1
    assert output.count("exact perplexity") == 1
    assert len(checkpoint(two)["random"]) == 2
    assert checkpoint(two)["global_step"] == 1
    assert len(moments(one)) > 10
    for name, moment in moments(one).items():
        # After one step only: later, Adam amplifies rounding errors where gradients are small.
        assert_close(moments(two)[name], moment, rtol=1e-4, atol=1e-8)
    assert len(metrics(two)) == len(metrics(one))
    for row, expected in zip(metrics(two), metrics(one), strict=True):
        for column in set(row) - {"train/tokens_per_second", "train/seconds"}:
            if row[column]:
                assert float(row[column]) == pytest.approx(float(expected[column]), rel=1e-3)
            else:
                assert not expected[column]


def joined(*batches):
    ids = [
        [sentence[: int(length)].tolist() for batch in batches for sentence, length in pairs(batch)]
        for pairs in (
            lambda batch: zip(batch.source, batch.source_lengths, strict=True),
            lambda batch: zip(batch.target, batch.target_lengths, strict=True),
        )
    ]
    return TextBatch.from_ids(*ids)


def gradient_of_a_step(batches, clip=1e9):
    """Return the gradients that the optimiser gets."""
    model = tiny_model()
    guide = tiny_guide(model)
    task = TrainingModule(model, guide, EnumeratedELBO(), TrainingConfig())
    seen = {}

    def watch(optimizer, *arguments, **options):
        TrainingModule.configure_gradient_clipping(task, optimizer, *arguments, **options)
        seen.update({name: p.grad.clone() for name, p in task.named_parameters()})

    task.configure_gradient_clipping = watch
    Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=len(batches),
        gradient_clip_val=clip,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        limit_val_batches=0,
        log_every_n_steps=1,
    ).fit(task, DataLoader(batches, batch_size=None))
    return seen


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")
@pytest.mark.filterwarnings("ignore:.*treespec")
def test_accumulated_batches_equal_one_large_batch():
    parts = [
        random_batch((3, 4, 1), (4, 2, 3), seed=1),
        random_batch((5,), (6,), seed=2),
        random_batch((2, 2), (1, 7), seed=3),
    ]
    whole = joined(*parts)
    accumulated, at_once = gradient_of_a_step(parts), gradient_of_a_step([whole])
    model = tiny_model()
    guide = tiny_guide(model)
    elbo = EnumeratedELBO()(model, guide)
    (elbo(whole) / whole.num_targets).backward()
    expected = {f"elbo.{name}": parameter.grad for name, parameter in elbo.named_parameters()}
    assert accumulated.keys() == at_once.keys() == expected.keys()
    for name, gradient in expected.items():
        assert_close(at_once[name], gradient)
        assert_close(accumulated[name], gradient)
    norm = torch.cat([gradient.flatten() for gradient in expected.values()]).norm()
    clipped = gradient_of_a_step(parts, clip=norm.item() / 2)
    for name, gradient in expected.items():
        assert_close(clipped[name], gradient / 2, rtol=1e-4, atol=1e-9)


def test_a_checkpoint_of_more_processes_is_rejected(tmp_path):
    folder = copied(tmp_path)
    path = folder / "checkpoints" / "last.ckpt"
    saved = torch.load(path, weights_only=True)
    torch.save({**saved, "random": saved["random"] * 2}, path)
    with pytest.raises(RunError, match="saved by 2 processes, but cannot be resumed with 1"):
        Run.resume(unfinished(folder)).fit(echo=silent)


def test_more_devices_than_pairs_are_rejected(tmp_path):
    config = tiny_config(shared_corpus(), training__devices=7)
    with pytest.raises(ConfigError, match="6 sentence pairs cannot be split among 7 processes"):
        Run.create(config, tmp_path / "run", echo=silent)
    assert not list(tmp_path.iterdir())


def test_torchrun_overrides_the_settings(monkeypatch):
    assert processes(TrainingConfig(devices=3)) == (3, 1)
    for name, value in {"LOCAL_WORLD_SIZE": 2, "WORLD_SIZE": 8, "RANK": 5, "LOCAL_RANK": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert processes(TrainingConfig(devices=3)) == (2, 4)
    assert not is_first_process()


def test_preparation_runs_in_the_first_process_only(monkeypatch):
    done = []
    after_first_process(lambda: done.append(1))
    monkeypatch.setenv("LOCAL_RANK", "1")
    after_first_process(lambda: done.append(2))
    assert done == [1]
