"""Fits that cannot continue: error messages, and nothing is lost."""

import errno
import os
import resource
import signal
import textwrap
from pathlib import Path

import kill
import pytest
import torch
from runs import assert_same, checkpoint, fitted, shared_corpus, silent, tiny_config

from pyro_align.errors import OutputError, RunError, TrainingError
from pyro_align.inference import EnumeratedELBO, Terms
from pyro_align.runs import Run
from pyro_align.training.checkpoint import SafeCheckpointIO

CHANGES = {
    "network__cell": "gru",
    "objective__name": "enumerated",
    "training__epochs": 2,
    "training__checkpoint_every": 2,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A complete run."""
    folder = tmp_path_factory.mktemp("failures") / "run"
    return fitted(tiny_config(shared_corpus(), **CHANGES), folder).path


@pytest.fixture
def made(tmp_path):
    """A run that is created and not yet fitted."""
    return Run.create(tiny_config(shared_corpus(), **CHANGES), tmp_path / "run", echo=silent)


def refit(folder):
    Run.resume(folder).fit(echo=silent)


def assert_equal_runs(folder, whole):
    weights = "weights.safetensors"
    assert (folder / weights).read_bytes() == (whole / weights).read_bytes()
    assert_same(checkpoint(folder), checkpoint(whole))


def steps_an_epoch(whole):
    """Number of steps per epoch of a complete run, whose last checkpoint is in its second epoch."""
    loaders = checkpoint(whole)["loaders"]["combined_loader"]
    return checkpoint(whole)["global_step"] - loaders[0]["position"]


def spoil(monkeypatch, step, change):
    """Change the terms of an optimiser step, counted from 1."""
    terms = EnumeratedELBO.terms

    def spoiled(self, *arguments):
        found = terms(self, *arguments)
        return change(found) if self.step == step - 1 else found

    monkeypatch.setattr(EnumeratedELBO, "terms", spoiled)


def with_loss(value):
    return lambda found: Terms(found.loss * value, found.log_likelihood, found.kl)


def with_bad_gradient(found):
    """The square root has an infinite slope at zero, and infinity times zero is NaN."""
    return Terms(found.loss + (found.loss * 0).sqrt() * 0, found.log_likelihood, found.kl)


@pytest.mark.parametrize(
    "change", [with_loss(float("nan")), with_loss(float("inf")), with_bad_gradient]
)
def test_a_loss_that_is_not_finite(whole, made, monkeypatch, change):
    first = steps_an_epoch(whole)
    spoil(monkeypatch, first + 2, change)
    with pytest.raises(TrainingError) as error:
        made.fit(echo=silent)
    message = str(error.value)
    assert f"not finite at step {first + 2} (epoch 2, batch 2 of it)" in message
    good = made.path / "checkpoints" / "last.ckpt"
    assert f"last valid checkpoint: {good} (step {first + 1})" in message
    assert "training.learning_rate" in message
    assert checkpoint(made.path)["global_step"] == first + 1
    assert all(tensor.isfinite().all() for tensor in checkpoint(made.path)["state_dict"].values())
    monkeypatch.undo()
    refit(made.path)
    assert_equal_runs(made.path, whole)


def test_a_loss_that_is_not_finite_at_the_start(made, monkeypatch):
    spoil(monkeypatch, 1, with_loss(float("nan")))
    with pytest.raises(TrainingError, match=r"step 1 \(epoch 1, batch 1.*checkpoint: none yet"):
        made.fit(echo=silent)


@pytest.mark.parametrize(
    ("factor", "match"),
    [
        (float("nan"), r"validation text is not finite after step \d+; reduce training\.learn"),
        (float("inf"), r"has diverged: the perplexity .* is infinite after step \d+; reduce train"),
        (1e4, r"has diverged: the perplexity .* is infinite after step \d+; reduce train.*new run"),
    ],
)
def test_a_validation_without_finite_perplexity(made, monkeypatch, factor, match):
    def spoiled(model, guide, batch, **options):
        found = score_positions(model, guide, batch)
        evidence = found.log_evidence.where(~batch.target_mask, found.log_evidence * factor)
        object.__setattr__(found, "log_evidence", evidence)
        return found

    from pyro_align.inference import score_positions

    monkeypatch.setattr("pyro_align.training.module.score_batch", spoiled)
    with pytest.raises(TrainingError, match=match):
        made.fit(echo=silent)
    assert not (made.path / "weights.safetensors").exists()


@pytest.fixture
def handler():
    """Set Python's default handler of SIGINT, which background processes do not inherit."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_an_interrupted_fit_can_be_resumed(whole, made, monkeypatch, handler):
    def interrupt(found):
        signal.raise_signal(signal.SIGINT)
        return found

    spoil(monkeypatch, 4, interrupt)
    with pytest.raises(TrainingError, match=f"interrupted.*fit --resume {made.path}"):
        made.fit(echo=silent)
    assert signal.getsignal(signal.SIGINT) is handler
    monkeypatch.undo()
    refit(made.path)
    assert_equal_runs(made.path, whole)


# Weights are certain to be written after the first epoch; a later one may not improve them.
@pytest.mark.parametrize(
    ("name", "number"), [("last.ckpt", 2), ("weights.safetensors", 1), ("metrics.csv", 2)]
)
def test_a_full_disk_loses_nothing(whole, made, monkeypatch, name, number):
    original, times = Path.open, 0

    def full(path, mode="r", *arguments, **options):
        nonlocal times
        if name in path.name and not mode.startswith("r"):
            times += 1
            if times == number:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return original(path, mode, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises((OutputError, OSError), match="No space left on device") as error:
            made.fit(echo=silent)
    assert name in str(error.value)
    assert not list(made.path.rglob("*.part"))
    SafeCheckpointIO().load_checkpoint(made.path / "checkpoints" / "last.ckpt")
    refit(made.path)
    assert_equal_runs(made.path, whole)


def limited(folder, size, errors):
    """Fit with a limit on file size, which acts like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        kill.resume(folder)
    except OutputError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        errors.write_text(str(error))
        raise SystemExit(2) from None


def test_a_limit_on_file_size(whole, made, tmp_path):
    # Unlike a simulated error, this one occurs after part of the file has been written.
    size = (whole / "checkpoints" / "last.ckpt").stat().st_size // 2
    errors = tmp_path / "errors"
    assert kill.run(limited, made.path, size, errors) == 2
    assert "last.ckpt: cannot be written: File too large" in errors.read_text()
    assert not list(made.path.rglob("*.part"))
    refit(made.path)
    assert_equal_runs(made.path, whole)


def spoiled(path, how):
    content = path.read_bytes()
    if how == "garbage":
        return b"garbage"
    if how == "a byte":
        return content[:1000] + bytes([content[1000] ^ 1]) + content[1001:]
    return content[: {"empty": 0, "half": len(content) // 2, "nearly": len(content) - 1}[how]]


@pytest.mark.parametrize("how", ["empty", "half", "nearly", "garbage", "a byte"])
def test_a_damaged_checkpoint(whole, tmp_path, how):
    path = tmp_path / "last.ckpt"
    path.write_bytes(spoiled(whole / "checkpoints" / "last.ckpt", how))
    with pytest.raises(RunError, match=f"{path}: damaged or truncated.*delete it.*--resume"):
        SafeCheckpointIO().load_checkpoint(path)


def test_a_damaged_checkpoint_restarts_from_the_beginning(whole, made):
    made.fit(echo=silent)
    path = made.path / "checkpoints" / "last.ckpt"
    content = spoiled(path, "half")
    path.write_bytes(content)
    before = {file: file.read_bytes() for file in made.path.rglob("*") if file.is_file()}
    with pytest.raises(RunError, match="damaged"):
        refit(made.path)
    after = {file: file.read_bytes() for file in made.path.rglob("*") if file.is_file()}
    assert after == before
    path.unlink()
    refit(made.path)
    assert_equal_runs(made.path, whole)


def test_a_checkpoint_with_code_in_it(tmp_path):
    """A checkpoint that would run code when unpickled is rejected, and its code is not run."""
    witness = tmp_path / "witness"

    class Exploit:
        def __reduce__(self):
            return os.mkdir, (str(witness),)

    torch.save({"global_step": Exploit()}, tmp_path / "last.ckpt")
    with pytest.raises(RunError, match="damaged"):
        SafeCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")
    assert not witness.exists()


def test_a_user_defined_objective(made, tmp_path):
    """A user-defined objective in a file, whose loss is not finite."""
    file = tmp_path / "mine.py"
    file.write_text(
        textwrap.dedent(
            """
            import dataclasses
            from pyro_align.inference import EnumeratedELBO

            class Broken(EnumeratedELBO):
                def __init__(self, *, at: int = 3):
                    super().__init__()
                    self.at, self.calls = at, 0

                def _terms(self, *arguments):
                    self.calls += 1
                    terms = super()._terms(*arguments)
                    factor = float("nan") if self.calls == self.at else 1.0
                    return dataclasses.replace(terms, loss=terms.loss * factor)
            """
        )
    )
    own = {"objective__name": f"{file}:Broken", "objective__at": 2}
    config = tiny_config(shared_corpus(), **{**CHANGES, **own})
    run = Run.create(config, tmp_path / "own", echo=silent)
    with pytest.raises(TrainingError, match=r"step 2 .*last valid checkpoint: .*\(step 1\)"):
        run.fit(echo=silent)
