"""Weights as safetensors files with a digest, without pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pyro_align.errors import RunError
from pyro_align.files import atomic_write


def save_weights(path: Path, modules: Mapping[str, nn.Module], notes: Mapping[str, str]) -> None:
    """Save parameters and buffers of modules to a safetensors file.

    Args:
        path: the file.
        modules: modules by prefix, such as ``model`` and ``guide``.
        notes: metadata saved with the weights.

    Raises:
        OutputError: if the file cannot be written; an existing file is unchanged.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(modules).items()
    }
    # A single entry: several are written in random order, and files should be reproducible.
    written = {_NOTES: json.dumps({**notes, "sha256": tensor_digest(tensors, notes)})}
    with atomic_write(path) as file:
        file.write(save(tensors, metadata=written))


def load_weights(
    path: Path, modules: Mapping[str, nn.Module], expected: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Load weights into modules and return the metadata saved with them.

    Args:
        path: the file.
        modules: modules by the prefix under which they were saved.
        expected: required metadata, which ties weights to a run.

    Raises:
        RunError: if the file is missing, damaged, of another run, or for other modules; the modules
            are then unchanged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            notes = dict(json.loads((file.metadata() or {}).get(_NOTES, "{}")))
            digest = notes.pop("sha256", None)
            loaded = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(
            f"{path}: no weights yet; the run has not reached its first validation"
        ) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path}: damaged or truncated ({error}); {_REMEDY}") from None
    if tensor_digest(loaded, notes) != digest:
        raise RunError(f"{path}: damaged, its digest does not match its content; {_REMEDY}")
    for key, value in (expected or {}).items():
        if notes.get(key) != value:
            raise RunError(
                f"{path}: weights of another run, whose vocabularies or settings differ from those "
                f"in this folder; copy the run again"
            )
    wanted = _tensors(modules)
    odd = sorted(wanted.keys() ^ loaded.keys()) or sorted(
        name for name in wanted if wanted[name].shape != loaded[name].shape
    )
    if odd:
        raise RunError(
            f"{path}: weights of a model or guide that is not the one in the configuration "
            f"(they differ in {', '.join(odd[:3])}{', …' if len(odd) > 3 else ''})"
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(loaded[name])
    return notes


_NOTES = "pyro_align"
_REMEDY = (
    "copy the run again, or delete its checkpoints/last.ckpt and train new weights from the "
    "beginning with `pyro-align fit --resume`"
)


def _tensors(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    # Tied parameters are listed once, under the first module that has them.
    together = nn.ModuleDict(modules)
    return {**dict(together.named_parameters()), **dict(together.named_buffers())}


def tensor_digest(tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> str:
    """SHA-256 of names, shapes, types and values of tensors on the CPU, and of notes."""
    digest = hashlib.sha256(repr(sorted(notes.items())).encode())
    for name in sorted(tensors):
        described = (name, tuple(tensors[name].shape), str(tensors[name].dtype))
        digest.update(repr(described).encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
