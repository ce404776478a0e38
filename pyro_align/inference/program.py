"""What models and guides have in common: both are Pyro programs over a batch."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections import Counter
from typing import Any, ClassVar, Literal

import pyro
from pyro.nn import PyroModule

from pyro_align.batch import Batch

Latent = Literal["none", "categorical", "simplex", "relaxed"]
"""What the site ``alignment`` is: absent, a Categorical over source positions, a distribution on
the simplex over them, or a relaxation of one-hot vectors, which tends to a Categorical."""

_instances: Counter[str] = Counter()


class NamedModule(PyroModule):
    """A ``PyroModule`` whose parameters have names of their own in Pyro's parameter store.

    The first instance of a class is named after it; later ones, and copies, get a number as well.
    Two modules of one name would share the first one's parameters there, and ``SVI`` would train
    those instead of the second's.
    """

    def __init__(self) -> None:
        # Both of Pyro's ways to keep parameters then work, whichever is on at a call.
        with pyro.settings.context(module_local_params=True):
            super().__init__(name=_new_name(self))

    def __setstate__(self, state: Any) -> None:
        """Give a copy, or an unpickled module, a name of its own."""
        super().__setstate__(state)
        _rename(self, _new_name(self))


def _new_name(module: PyroModule) -> str:
    name = type(module).__name__
    _instances[name] += 1
    return name if _instances[name] == 1 else f"{name}_{_instances[name]}"


def _rename(module: PyroModule, name: str) -> None:
    module._pyro_name = name
    for key, child in module._modules.items():
        if isinstance(child, PyroModule):
            _rename(child, f"{name}.{key}")


class _AbstractPyroModule(type(PyroModule), ABCMeta):  # type: ignore[misc]
    """PyroModule brings a metaclass of its own, so that ABC alone would clash with it."""


class Program(NamedModule, metaclass=_AbstractPyroModule):
    """A ``PyroModule`` called with a batch, with the plates ``sentences`` and ``positions``."""

    latent: ClassVar[Latent]
    """What ``alignment`` is in this program."""

    @abstractmethod
    def forward(self, batch: Batch) -> Any:
        """The program."""
