"""Annotated types for settings, with the range of valid values.

Pydantic validates them, both in the configuration tables and where
:meth:`~pyro_align.registry.Registry.check` checks options against a constructor's signature.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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
