"""Base class of guides."""

from __future__ import annotations

from typing import Any

import pyro
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.inference.kinds import SENTENCE_KINDS
from pyro_align.inference.plates import position_plate, sentence_plate
from pyro_align.inference.program import Program


class AlignmentGuide(Program):
    """Base class of approximate posteriors ``q(z | x, y)`` of a model.

    A subclass declares its sites in :attr:`latents` and implements :meth:`posterior`, which may
    call ``self.model.states(batch)``, ``self.model.features(batch)`` and
    ``self.model.prior(states)``; objectives compute the first two once per step. A guide whose
    sites depend on each other overrides :meth:`forward` instead: any Pyro program with the plates
    of the model is a guide.

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

    def posterior(self, batch: Batch) -> dict[str, Any]:
        """Return the distribution of each latent site, by name.

        The batch shape is ``(sentences, positions)`` for a site of a target position, and
        ``(sentences, 1)`` for one of a whole sentence
        (:data:`~pyro_align.inference.kinds.SENTENCE_KINDS`). Sites are independent of each other.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define posterior(batch), which returns the distribution "
            f"of each latent site, or override forward(batch)"
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Sample each site of :meth:`posterior` in its plates and return the values by name.

        The kind of a site in :attr:`latents` determines the plates.

        Raises:
            ValueError: if the sites are not those declared in :attr:`latents`.
        """
        posterior = self.posterior(batch)
        if posterior.keys() != self.latents.keys():
            raise ValueError(
                f"posterior returns the sites {sorted(posterior)}, but {type(self).__name__}."
                f"latents declares {sorted(self.latents)}: use the same names in both"
            )
        if not posterior:
            return {}
        of_sentences = [name for name in posterior if self.latents[name] in SENTENCE_KINDS]
        of_positions = [name for name in posterior if name not in of_sentences]
        with sentence_plate(batch):
            values = {name: pyro.sample(name, posterior[name]) for name in of_sentences}
            with position_plate(batch):
                values |= {name: pyro.sample(name, posterior[name]) for name in of_positions}
        return values
