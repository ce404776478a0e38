"""Base class of guides."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch

from pyro_align.data.batch import Batch
from pyro_align.inference.program import Program


class AlignmentGuide(Program):
    """Base class of approximate posteriors ``q(z | x, y)`` of a model.

    ``guide(batch)`` is a Pyro program with the plates of the model and the sites in
    :attr:`latents`. A subclass implements :meth:`forward`, which may call
    ``self.model.states(batch)``, ``self.model.features(batch)`` and ``self.model.prior(states)``;
    objectives compute the first two once per step.

    Args:
        model: the model, as in Pyro's autoguides. Its parameters are not parameters of the guide.
    """

    def __init__(self, model: Any):
        super().__init__()
        # Bypasses Module.__setattr__, which would register the model as a child.
        self.__dict__["_model"] = model

    @property
    def model(self) -> Any:
        """The model this guide is built on."""
        return self.__dict__["_model"]

    @abstractmethod
    def forward(self, batch: Batch) -> torch.Tensor | None:
        """Sample from the approximate posterior and return the alignment, if there is one."""
