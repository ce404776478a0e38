"""Checkpoints for exact resumption, and the best weights so far."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import CheckpointIO

from pyro_align.errors import RunError
from pyro_align.files import atomic_write
from pyro_align.training.module import CRITERION, TrainingModule
from pyro_align.training.weights import save_weights

_KEYS = {"global_step", "state_dict", "optimizer_states", "loops", "callbacks", "random", "seconds"}
"""Keys of every checkpoint."""


class SafeCheckpointIO(CheckpointIO):
    """Checkpoint files that are written atomically and never unpickled."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: if it cannot be written; the previous checkpoint is unchanged.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with atomic_write(Path(path)) as file:
            file.write(content.getvalue())

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Load a checkpoint that holds only tensors and plain values.

        Raises:
            RunError: if the file is damaged or truncated.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                if (damaged := archive.testzip()) is not None:
                    raise zipfile.BadZipFile(f"checksum of {damaged}")
            loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
        except (
            zipfile.BadZipFile,
            pickle.UnpicklingError,
            RuntimeError,
            EOFError,
            OSError,
        ) as error:
            # Hide torch's advice to unpickle the file, which could execute code in it.
            is_code = isinstance(error, pickle.UnpicklingError)
            reason = (
                "it holds objects that are not tensors or plain values"
                if is_code
                else str(error).partition("\n")[0]
            )
            raise RunError(
                f"{path}: damaged or truncated ({reason}); delete it, and `pyro-align fit "
                f"--resume` restarts this run from the beginning"
            ) from error
        if not isinstance(loaded, dict) or not loaded.keys() >= _KEYS:
            raise RunError(
                f"{path}: not a checkpoint of a run; delete it, and `pyro-align fit --resume` "
                f"restarts this run from the beginning"
            )
        return loaded

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


class ResumePoint(Callback):
    """Save the complete training state at regular intervals.

    A checkpoint is saved after the first step of an epoch, then every ``every`` steps, but never
    after the last batch of an epoch: validation, the plateau schedule and early stopping, which
    follow it, are not part of a checkpoint and are repeated from the previous one.

    If an epoch has only one step, a checkpoint is saved at the end of the epoch instead, after all
    of these. If training stops with that step, the epoch is repeated from the previous checkpoint;
    only if there is none, because training stops with its first step, is one saved.

    It must come after all callbacks that have a state, so that their states in the checkpoint are
    those after the step or the epoch.

    Args:
        path: the checkpoint file, replaced each time.
        every: optimiser steps between checkpoints.
        config: the configuration as plain values, checked when the fit is resumed.
    """

    def __init__(self, path: Path, every: int, config: Mapping[str, Any]):
        self.path = path
        self.every = every
        self.config = dict(config)
        self._random: list[dict[str, Any]] | None = None
        self._epoch: int | None = None  # of the last checkpoint

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save a checkpoint if one is due."""
        accumulate = trainer.accumulate_grad_batches
        steps, inside = divmod(batch_idx + 1, accumulate)
        due = steps == 1 or trainer.global_step % self.every == 0
        if due and not inside and not trainer.is_last_batch and not trainer.should_stop:
            self._save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save a checkpoint if there is none of this epoch."""
        due = self._epoch is None if trainer.should_stop else self._epoch != trainer.current_epoch
        if due:
            self._save(trainer, pl_module)

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        pl_module.refuse_nonfinite()
        self.path.parent.mkdir(exist_ok=True)
        trainer.save_checkpoint(self.path)
        self._epoch = trainer.current_epoch

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the states of all random generators, of every process, and the configuration."""
        states: list[Any] = [_random_state()]
        if trainer.world_size > 1:
            states = [None] * trainer.world_size
            torch.distributed.all_gather_object(states, _random_state())
        checkpoint["random"] = states
        checkpoint["config"] = self.config

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store the random states until the first batch."""
        self._random = checkpoint["random"]
        self._epoch = checkpoint["epoch"]

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Restore the random states, after set-up has drawn random numbers."""
        if self._random is not None:
            if len(self._random) != trainer.world_size:
                raise RunError(
                    f"{self.path}: saved by {len(self._random)} processes, but cannot be resumed "
                    f"with {trainer.world_size}"
                )
            _restore_random_state(self._random[trainer.global_rank])
            self._random = None


class StepLimit(Callback):
    """Stop training after a number of optimiser steps, even in the middle of an epoch.

    Unlike Lightning's own limit, it still runs validation after the last step, which is needed to
    save weights. It must come before :class:`ResumePoint` in the list of callbacks.

    Args:
        steps: maximum number of steps; None for no limit.
    """

    def __init__(self, steps: int | None):
        self.steps = steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do not train further if the checkpoint is at the limit."""
        self._stop_at_limit(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop training if the limit is reached."""
        self._stop_at_limit(trainer)

    def _stop_at_limit(self, trainer: Trainer) -> None:
        if self.steps is not None and trainer.global_step >= self.steps:
            trainer.should_stop = True


class BestWeights(Callback):
    """Save the weights with the best validation value of :data:`CRITERION`, or the last ones.

    Args:
        path: the safetensors file.
        notes: metadata saved with the weights.
        keep: ``best``, or ``last`` to save the weights of every epoch in place of earlier ones.
    """

    def __init__(self, path: Path, notes: Mapping[str, str], keep: str):
        self.path = path
        self.notes = notes
        self.keep = keep
        self.best = float("inf")

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best value."""
        self.best = state_dict["best"]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the weights if they are the best so far, or if the last ones are kept."""
        criterion = float(trainer.callback_metrics[CRITERION])
        if criterion < self.best or self.keep == "last":
            self.best = min(criterion, self.best)
            if trainer.is_global_zero:
                assert isinstance(pl_module, TrainingModule)
                notes = {
                    **self.notes,
                    "step": str(trainer.global_step),
                    "epoch": str(trainer.current_epoch + 1),
                    "valid_perplexity": repr(float(trainer.callback_metrics["valid/perplexity"])),
                }
                save_weights(self.path, pl_module.programs, notes)
            # All processes read the file after training.
            trainer.strategy.barrier()


def _random_state() -> dict[str, Any]:
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (np.asarray(keys).tolist(), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _restore_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    keys, *rest = state["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
