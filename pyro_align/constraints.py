"""Types of settings: tables, paths, and numbers with the range of valid values.

Pydantic validates them, both in the configuration tables and where
:meth:`~pyro_align.config.registry.Registry.check` checks options against a constructor's signature.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A seed that PyTorch, NumPy and Python all accept."""

Size = Annotated[int, Field(ge=1, le=2**16)]
"""Number of units in a layer."""

Layers = Annotated[int, Field(ge=1, le=64)]
"""Number of layers in a network."""

Count = Annotated[int, Field(ge=1, lt=2**31)]
"""A number of epochs, steps, samples or tokens."""

CountOrZero = Annotated[int, Field(ge=0, lt=2**31)]
"""A :data:`Count`, or 0."""

Rate = Annotated[float, Field(ge=0, lt=1)]
"""A probability of dropout."""

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A finite number, 0 or greater."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite number greater than 0."""


class Table(BaseModel):
    """A table of the configuration; unknown keys are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _expanded(path: Any) -> Any:
    if not isinstance(path, str | Path):
        return path
    if not str(path):
        raise ValueError("the path is empty; is a variable not set?")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError("the path is not UTF-8, which config.toml is: rename the file") from None
    # Unlike pathlib, os.path.expanduser leaves the name of an unknown user unchanged.
    expanded = Path(os.path.expanduser(os.path.expandvars(path))).absolute()  # noqa: PTH111
    unset = re.search(r"\$(\w+)|\$\{(\w+)\}", str(expanded))
    if unset is not None and not expanded.exists():
        name = unset[1] or unset[2]
        raise ValueError(
            f"{path}: the environment variable {name} is not set; set it to the folder that "
            f"replaces ${name} in this path: export {name}=/path/to/folder"
        )
    return expanded


ExpandedPath = Annotated[Path, BeforeValidator(_expanded)]
"""An absolute path, with ``~`` and ``$VARIABLE`` expanded, so a run can be resumed anywhere."""
