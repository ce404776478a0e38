"""Base class of models and guides: Pyro programs over a batch."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import pyro
from pyro.nn import PyroModule

from pyro_align.data.batch import Batch
from pyro_align.inference.kinds import Latent
from pyro_align.inference.traces import has_handlers, rename

_instances: Counter[str] = Counter()


class NamedModule(PyroModule):
    """A ``PyroModule`` with a unique name in Pyro's parameter store.

    The first instance of a class has the name of the class; later instances and copies get a
    number appended. Two modules with the same name would share the parameters of the first in the
    store, and ``SVI`` would train those instead of the second module's.
    """

    def __init__(self) -> None:
        # Works with module-local parameters switched on or off when the module is called.
        with pyro.settings.context(module_local_params=True):
            super().__init__(name=_new_name(self))

    def __getattr__(self, name: str) -> Any:
        """Return a submodule, parameter or sample.

        ``PyroModule`` passes every parameter of a submodule to the handlers around, each time it is
        read. Without handlers, and with module-local parameters, that has no effect but takes as
        long as a small network.
        """
        module = self.__dict__.get("_modules", {}).get(name)
        if (
            module is None
            or isinstance(module, PyroModule)
            or has_handlers()
            or not pyro.settings.get("module_local_params")
        ):
            return super().__getattr__(name)
        return module

    def __setstate__(self, state: Any) -> None:
        """Give a copied or unpickled module a unique name."""
        super().__setstate__(state)
        rename(self, _new_name(self))


def _new_name(module: PyroModule) -> str:
    name = type(module).__name__
    _instances[name] += 1
    return name if _instances[name] == 1 else f"{name}_{_instances[name]}"


class _AbstractPyroModule(type(PyroModule), ABCMeta):  # type: ignore[misc]
    """Combines the metaclasses of ``PyroModule`` and ``ABC``, which conflict otherwise."""


class Program(NamedModule, metaclass=_AbstractPyroModule):
    """Base class of models and guides: a ``PyroModule`` that is called with a batch.

    It has the plates ``sentences`` and ``positions``.
    """

    latents: ClassVar[Mapping[str, Latent]]
    """Kinds of the latent sites by name, such as ``{"alignment": "categorical"}``."""

    @abstractmethod
    def forward(self, batch: Batch) -> Any:
        """Run the program."""
