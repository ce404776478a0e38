"""Checkpoints: a point to resume from, bit for bit, and the best weights so far."""

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
from pyro_align.training.task import CRITERION, AlignmentTask
from pyro_align.training.weights import save_weights

_KEYS = {"global_step", "state_dict", "optimizer_states", "loops", "callbacks", "random", "seconds"}
"""What every checkpoint of a run has."""


class SafeCheckpointIO(CheckpointIO):
    """Checkpoints that are whole or absent, and are never unpickled."""

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
        """Tensors and plain values only.

        Raises:
            RunError: if the file is damaged or cut off.
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
            # What torch says of such a file is to unpickle it, which would run its code.
            is_code = isinstance(error, pickle.UnpicklingError)
            reason = (
                "it holds objects that are not tensors or plain values"
                if is_code
                else str(error).partition("\n")[0]
            )
            raise RunError(
                f"{path}: damaged or cut off ({reason}); delete it, and `pyro-align fit --resume` "
                f"starts this run from its beginning"
            ) from error
        if not isinstance(loaded, dict) or not loaded.keys() >= _KEYS:
            raise RunError(
                f"{path}: not a checkpoint of a run; delete it, and `pyro-align fit --resume` "
                f"starts this run from its beginning"
            )
        return loaded

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


class ResumePoint(Callback):
    """Save everything that training depends on, every so many optimiser steps.

    Points lie after the first batch of an epoch, then every ``every`` steps, and never after an
    epoch's last batch: what follows that one (validation, the plateau schedule, early stopping)
    is not part of a checkpoint, so it is done again from the point before.

    Args:
        path: the one file, replaced each time.
        every: optimiser steps between two points.
        config: the configuration as plain values, to be compared with that of a resumed fit.
    """

    def __init__(self, path: Path, every: int, config: Mapping[str, Any]):
        self.path = path
        self.every = every
        self.config = dict(config)
        self._random: list[dict[str, Any]] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save, if it is time."""
        accumulate = trainer.accumulate_grad_batches
        steps, inside = divmod(batch_idx + 1, accumulate)
        due = steps == 1 or trainer.global_step % self.every == 0
        if due and not inside and not trainer.is_last_batch and not trainer.should_stop:
            assert isinstance(pl_module, AlignmentTask)
            pl_module.refuse_nonfinite()
            self.path.parent.mkdir(exist_ok=True)
            trainer.save_checkpoint(self.path)

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
        """Keep the random states until the first batch."""
        self._random = checkpoint["random"]

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Restore the random states, after all that set-up may have drawn."""
        if self._random is not None:
            if len(self._random) != trainer.world_size:
                raise RunError(
                    f"{self.path}: saved by {len(self._random)} processes, cannot be resumed "
                    f"with {trainer.world_size}"
                )
            _restore_random_state(self._random[trainer.global_rank])
            self._random = None


class StepLimit(Callback):
    """End training after a number of optimiser steps, in the middle of an epoch too.

    Unlike Lightning's own limit it leaves the validation that follows the last step, without
    which there would be no weights to publish. It stands before :class:`ResumePoint`.

    Args:
        steps: the number, None for no limit.
    """

    def __init__(self, steps: int | None):
        self.steps = steps

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop, if it is time."""
        if self.steps is not None and trainer.global_step >= self.steps:
            trainer.should_stop = True


class BestWeights(Callback):
    """Write the weights of the best validation, as :data:`CRITERION` has it.

    Args:
        path: the safetensors file.
        notes: kept with the weights.
    """

    def __init__(self, path: Path, notes: Mapping[str, str]):
        self.path = path
        self.notes = notes
        self.best = float("inf")

    def state_dict(self) -> dict[str, Any]:
        """The best criterion so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a best criterion."""
        self.best = state_dict["best"]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, if it is the best."""
        criterion = float(trainer.callback_metrics[CRITERION])
        if criterion < self.best:
            self.best = criterion
            if trainer.is_global_zero:
                assert isinstance(pl_module, AlignmentTask)
                notes = {
                    **self.notes,
                    "step": str(trainer.global_step),
                    "epoch": str(trainer.current_epoch + 1),
                    "valid_perplexity": repr(float(trainer.callback_metrics["valid/perplexity"])),
                }
                save_weights(self.path, pl_module.programs, notes)
            # All processes read the file when training is over.
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
