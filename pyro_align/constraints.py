"""Types of settings with the range of their values, for signatures and for the configuration.

Pydantic checks them: in the tables of a configuration, and where
:meth:`~pyro_align.registry.Registry.check` checks options against a constructor's signature.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A seed that PyTorch, NumPy and Python all take."""

Size = Annotated[int, Field(ge=1, le=2**16)]
"""Units of a layer."""

Layers = Annotated[int, Field(ge=1, le=64)]
"""Layers of a network."""

Count = Annotated[int, Field(ge=1, lt=2**31)]
"""A number of epochs, steps, samples or tokens."""

CountOrZero = Annotated[int, Field(ge=0, lt=2**31)]
"""A :data:`Count`, or 0."""

Rate = Annotated[float, Field(ge=0, lt=1)]
"""A probability of dropout."""

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A finite number that is not negative."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0."""
