"""What models and guides have in common: both are Pyro programs over a batch."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any, ClassVar, Literal

import pyro
from pyro.nn import PyroModule

from pyro_align.batch import Batch

Latent = Literal["none", "categorical", "simplex", "relaxed"]
"""What the site ``alignment`` is: absent, a Categorical over source positions, a distribution on
the simplex over them, or a relaxation of one-hot vectors, which tends to a Categorical."""


class _AbstractPyroModule(type(PyroModule), ABCMeta):  # type: ignore[misc]
    """PyroModule brings a metaclass of its own, so that ABC alone would clash with it."""


class Program(PyroModule, metaclass=_AbstractPyroModule):
    """A ``PyroModule`` called with a batch, with the plates ``sentences`` and ``positions``."""

    latent: ClassVar[Latent]
    """What ``alignment`` is in this program."""

    def __init__(self) -> None:
        # Both of Pyro's ways to keep parameters then work, whichever is on at a call.
        with pyro.settings.context(module_local_params=True):
            super().__init__(name=type(self).__name__)

    @abstractmethod
    def forward(self, batch: Batch) -> Any:
        """The program."""
