"""Base class of guides: Pyro programs built on a model."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch

from pyro_align.batch import Batch
from pyro_align.inference.program import Program


class AlignmentGuide(Program):
    """An approximate posterior ``q(z | x, y)`` for the model it is built on.

    ``guide(batch)`` is a Pyro program with the plates of the model and, unless :attr:`latent` is
    ``none``, the site ``alignment``. A subclass writes :meth:`forward`. It may read what the model
    computes: ``self.model.states(batch)``, ``self.model.features(batch)`` and
    ``self.model.prior(states)``; objectives compute the first two once a step.

    Args:
        model: the model, as Pyro's autoguides take it. Its parameters stay the model's own: they
            are not among the guide's.
    """

    def __init__(self, model: Any):
        super().__init__()
        # Past Module.__setattr__, which would register the model as a child.
        self.__dict__["_model"] = model

    @property
    def model(self) -> Any:
        """The model this guide is built on."""
        return self.__dict__["_model"]

    @abstractmethod
    def forward(self, batch: Batch) -> torch.Tensor | None:
        """The approximate posterior; returns the alignment, if there is one."""
