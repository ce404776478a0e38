"""Published weights: safetensors with a digest, nothing to unpickle."""

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
    """Write parameters and buffers of modules to a safetensors file.

    Args:
        path: the file.
        modules: by prefix, such as ``model`` and ``guide``.
        notes: strings to keep with the weights.

    Raises:
        OutputError: if the file cannot be written; what was there before is unchanged.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(modules).items()
    }
    # One entry: several are written in random order, and equal weights should be equal files.
    written = {_NOTES: json.dumps({**notes, "sha256": tensor_digest(tensors, notes)})}
    with atomic_write(path) as file:
        file.write(save(tensors, metadata=written))


def load_weights(
    path: Path, modules: Mapping[str, nn.Module], expected: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Read weights into modules; returns the notes kept with them.

    Args:
        path: the file.
        modules: by prefix, as they were saved.
        expected: notes that weights of the same run have.

    Raises:
        RunError: if the file is missing, damaged, of another run, or made for other modules; the
            modules are then as they were.
    """
    try:
        with safe_open(path, framework="pt") as file:
            notes = dict(json.loads((file.metadata() or {}).get(_NOTES, "{}")))
            digest = notes.pop("sha256", None)
            loaded = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{path}: no weights there; the run has not got so far") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path}: damaged or cut off ({error}); {_MEND}") from None
    if tensor_digest(loaded, notes) != digest:
        raise RunError(f"{path}: damaged, its digest does not fit its content; {_MEND}")
    for key, value in (expected or {}).items():
        if notes.get(key) != value:
            raise RunError(
                f"{path}: weights of another run, with other vocabularies or settings than those "
                f"beside them; copy the run again"
            )
    wanted = _tensors(modules)
    odd = sorted(wanted.keys() ^ loaded.keys()) or sorted(
        name for name in wanted if wanted[name].shape != loaded[name].shape
    )
    if odd:
        raise RunError(
            f"{path}: made for another model or guide than the configuration beside it names "
            f"(they differ in {', '.join(odd[:3])}{', …' if len(odd) > 3 else ''})"
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(loaded[name])
    return notes


def own_parameters(guide: nn.Module, model: nn.Module) -> list[nn.Parameter]:
    """Parameters of a guide that are not the model's, which a guide may hold and hand on."""
    models = {id(parameter) for parameter in model.parameters()}
    return [parameter for parameter in guide.parameters() if id(parameter) not in models]


_NOTES = "pyro_align"
_MEND = (
    "copy the run again, or delete its checkpoints/last.ckpt and make new weights from the "
    "beginning with `pyro-align fit --resume`"
)


def _tensors(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    # Tied parameters are named once, by the first module that has them.
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
