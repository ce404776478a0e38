"""Checkpoints: restored state, and invalid files."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from pyro_align.errors import RunError
from pyro_align.training.checkpoint import ResumePoint, SafeCheckpointIO
from pyro_align.training.weights import load_weights, save_weights

DRAWS = {
    "python": random.random,
    "numpy": lambda: float(np.random.rand()),
    "numpy, the second of a pair": lambda: float(np.random.randn()),
    "torch": lambda: float(torch.rand(())),
}


@pytest.mark.parametrize("name", DRAWS)
def test_every_random_generator_is_restored(tmp_path, name):
    draw = DRAWS[name]
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    module = LightningModule()
    point, saved = ResumePoint(tmp_path / "last.ckpt", 1, {}), {"epoch": 0}
    draw()
    point.on_save_checkpoint(trainer, module, saved)
    torch.save(saved, tmp_path / "last.ckpt")
    expected = [draw() for _ in range(3)]
    # The generators of a new process have other states.
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    loaded = torch.load(tmp_path / "last.ckpt", weights_only=True)
    point.on_load_checkpoint(trainer, module, loaded)
    point.on_train_batch_start(trainer, module, None, 0)
    assert [draw() for _ in range(3)] == expected


@pytest.mark.parametrize("content", [{"a": 1}, torch.zeros(2), [1, 2]])
def test_other_torch_files_are_not_checkpoints(tmp_path, content):
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(RunError, match=r"last\.ckpt: not a checkpoint of a run; delete it"):
        SafeCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")


def test_errors_do_not_advise_to_unpickle(tmp_path):
    torch.save({"a": Path()}, tmp_path / "last.ckpt")
    with pytest.raises(RunError, match="it holds objects that are not tensors") as error:
        SafeCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")
    assert "weights_only" not in str(error.value)


class Pair(nn.Module):
    """Two parameters of one shape."""

    def __init__(self, names: tuple[str, str]):
        super().__init__()
        for number, name in enumerate(names):
            self.register_parameter(name, nn.Parameter(torch.full((2,), float(number))))


def test_names_of_tensors_are_part_of_the_digest(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, {"model": Pair(("first", "second"))}, {})
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = [file.get_tensor(f"model.{name}") for name in ("first", "second")]
    # The same values in the same order, under other names.
    renamed = dict(zip(("model.one", "model.two"), tensors, strict=True))
    save_file(renamed, path, metadata=metadata)
    with pytest.raises(RunError, match="its digest does not match"):
        load_weights(path, {"model": Pair(("one", "two"))})
