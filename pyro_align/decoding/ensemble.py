"""`Ensemble`: several models that predict each token together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyro
import torch
from jaxtyping import Float
from pyro.distributions import Categorical
from torch import Tensor, nn

from pyro_align.data.batch import Batch
from pyro_align.decoding.predictor import ModelPredictor, Predictor, Rows
from pyro_align.errors import ConfigError, nearest
from pyro_align.inference.kinds import Latent
from pyro_align.inference.plates import alignment_plates
from pyro_align.inference.program import Program


class Ensemble(Program):
    r"""The average of the next-token distributions of :math:`N` models.

    .. math::
        p(y_t | x, y_{<t}) = \frac{1}{N} \sum_n p_n(y_t | x, y_{<t}) \quad\text{or}\quad
        p(y_t | x, y_{<t}) \propto \prod_n p_n(y_t | x, y_{<t})^{1/N}

    :class:`~pyro_align.decoding.BeamSearch` takes it in place of a model. Each model reads the
    tokens with a decoder of its own and sums over its own alignments. The ensemble has no alignment
    and no attention weights; it is evaluated with :class:`~pyro_align.guides.NoGuide`.

    Args:
        models: models with the same source and target ids.
        average: ``linear``, the mean of the probabilities, or ``log``, the normalised geometric
            mean.

    Raises:
        ConfigError: if there is no model, or ``average`` is not one of the two.
    """

    latents: ClassVar[Mapping[str, Latent]] = {}

    def __init__(self, models: Sequence[Any], average: str = "linear"):
        super().__init__()
        if not models:
            raise ConfigError("an ensemble needs at least one model")
        if average not in _MEANS:
            raise ConfigError(f"no average {average!r}; {nearest(average, _MEANS)}")
        self.members = nn.ModuleList(models)
        self.average = average

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``tokens``."""
        with alignment_plates(batch):
            tokens = Categorical(logits=self.next_token(batch))
            return pyro.sample("tokens", tokens, obs=batch.target)

    def next_token(self, batch: Batch) -> Float[Tensor, "batch target vocabulary"]:
        """Compute ``log p(y_t | x, y_<t)`` for every target position of a batch."""
        return self.mean([model.next_token(model.states(batch)) for model in self.models])

    @property
    def models(self) -> list[Any]:
        """The models."""
        return list(self.members)

    def mean(
        self, log_probs: Sequence[Float[Tensor, "*shape vocabulary"]]
    ) -> Float[Tensor, "*shape vocabulary"]:
        """Average the log probabilities of the models."""
        return _MEANS[self.average](torch.stack(list(log_probs)))


def members_of(model: Any, guide: Any) -> list[tuple[Any, Any]]:
    """Return models with their guides: those of an ensemble, which have none, or the given ones."""
    if isinstance(model, Ensemble):
        return [(each, None) for each in model.models]
    return [(model, guide)]


def _linear(log_probs: Tensor) -> Tensor:
    return log_probs.logsumexp(0) - math.log(len(log_probs))


def _log(log_probs: Tensor) -> Tensor:
    return log_probs.mean(0).log_softmax(-1)


_MEANS = {"linear": _linear, "log": _log}


class EnsemblePredictor(Predictor[list[Any]]):
    """Predicts with all models of an ensemble.

    Args:
        ensemble: the ensemble.

    Raises:
        IncompatibleError: if the networks of a model cannot decode step by step.
    """

    def __init__(self, ensemble: Ensemble):
        self.ensemble = ensemble
        self.members = [ModelPredictor(model) for model in ensemble.models]

    @property
    def models(self) -> list[Any]:
        """The models of the ensemble."""
        return self.ensemble.models

    def start(self, source: Tensor, mask: Tensor, lengths: Tensor) -> list[Any]:
        """Encode the sources with each model."""
        return [member.start(source, mask, lengths) for member in self.members]

    def step(
        self, state: list[Any], rows: Rows, tokens: Tensor, top_k: int | None
    ) -> tuple[Tensor, list[Any]]:
        """Run each decoder for one token, and average what they predict."""
        steps = [
            member.step(own, rows, tokens, top_k)
            for member, own in zip(self.members, state, strict=True)
        ]
        return self.ensemble.mean([found for found, _ in steps]), [after for _, after in steps]

    def extend(
        self, state: list[Any], old: Rows, new: Rows, parent: Tensor, tokens: Tensor
    ) -> list[Any]:
        """Select the rows of each model."""
        return [
            member.extend(own, old, new, parent, tokens)
            for member, own in zip(self.members, state, strict=True)
        ]
