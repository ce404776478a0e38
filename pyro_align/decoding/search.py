"""Base class of searches for translations: limits of length, encoded sources."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pad_sequence

from pyro_align.data.batch import BOS, EOS, PAD
from pyro_align.decoding.ensemble import Ensemble, EnsemblePredictor
from pyro_align.decoding.hypotheses import Hypothesis
from pyro_align.decoding.predictor import ModelPredictor, Predictor
from pyro_align.errors import ConfigError, RunError
from pyro_align.models import AlignmentModel


class Search(ABC):
    """Base class of searches for translations, token by token.

    Args:
        model: the model, or an :class:`~pyro_align.decoding.Ensemble` of models; the search runs on
            the device of its parameters.
        top_k: marginalise over the K most probable source positions only; None for all.
        min_length: minimum length of a translation in tokens, including ``EOS``.
        max_length: maximum length likewise, in addition to that of the ratio; None for no other.
        max_length_ratio: with ``max_length_offset`` the maximum length of a translation in tokens,
            including ``EOS``: ``⌈ratio · |x| + offset⌉``, or ``min_length`` if that is more.
        max_length_offset: see ``max_length_ratio``.

    Raises:
        ConfigError: if a number is out of its range.
        IncompatibleError: if the networks of a model cannot decode step by step.
    """

    def __init__(
        self,
        model: AlignmentModel | Ensemble,
        *,
        top_k: int | None = None,
        min_length: int = 1,
        max_length: int | None = None,
        max_length_ratio: float = 2.0,
        max_length_offset: int = 10,
    ):
        if top_k is not None and top_k < 1:
            raise ConfigError(f"top_k must be at least 1, got {top_k}")
        if not 0 <= max_length_ratio < math.inf or max_length_offset < 1:
            raise ConfigError(
                "max_length_ratio must be 0 or more and max_length_offset at least 1, got "
                f"{max_length_ratio} and {max_length_offset}"
            )
        if min_length < 1 or (max_length is not None and max_length < min_length):
            raise ConfigError(
                "the minimum length of a translation must be at least 1, and the maximum length at "
                f"least the minimum; got {min_length} and {max_length}"
            )
        self.model = model
        self.predictor: Predictor[Any] = (
            EnsemblePredictor(model) if isinstance(model, Ensemble) else ModelPredictor(model)
        )
        self.top_k = top_k
        self.min_length = min_length
        self.max_length = max_length
        self.max_length_ratio = max_length_ratio
        self.max_length_offset = max_length_offset

    @abstractmethod
    def search(self, sources: Sequence[Sequence[int]]) -> list[list[Hypothesis]]:
        """Translate sentences of source ids, each ending in ``EOS``.

        Returns:
            The translations of each sentence.

        Raises:
            ValueError: if a model is in training mode, or a source is empty.
            RunError: if the model's probabilities are not finite.
        """

    def _start(self, sources: Sequence[Sequence[int]]) -> tuple[Any, Int[Tensor, " sentence"]]:
        """Encode the sources; return the state of the predictor and the maximum lengths."""
        if any(model.training for model in self.predictor.models):
            raise ValueError("the model is in training mode: call model.eval() before a search")
        device = next(self.model.parameters()).device
        lengths = torch.tensor([len(source) for source in sources])
        if not bool((lengths > 0).all()):
            raise ValueError("a source is empty: each needs at least EOS")
        source = pad_sequence(
            [torch.as_tensor(source) for source in sources], batch_first=True, padding_value=PAD
        ).to(device)
        mask = (torch.arange(source.shape[1]) < lengths.unsqueeze(1)).to(device)
        limits = (self.max_length_ratio * lengths + self.max_length_offset).ceil().long()
        limits = limits.clamp(self.min_length, self.max_length)
        return self.predictor.start(source, mask, lengths), limits.to(device)

    def _restrict(
        self,
        log_probs: Float[Tensor, "row vocabulary"],
        length: int,
        limits: Int[Tensor, " row"],
    ) -> None:
        """Set the log probabilities of tokens that cannot be next to −∞, in place.

        Args:
            log_probs: of the next tokens.
            length: length of the translations with the next token.
            limits: maximum length of each.
        """
        log_probs[:, [PAD, BOS]] = -torch.inf
        if length < self.min_length:
            log_probs[:, EOS] = -torch.inf
        closing = limits <= length
        if bool(closing.any()):
            log_probs[:, :EOS].masked_fill_(closing.unsqueeze(1), -torch.inf)
            log_probs[:, EOS + 1 :].masked_fill_(closing.unsqueeze(1), -torch.inf)


@contextmanager
def fast_steps() -> Iterator[None]:
    """Avoid work that Pyro and PyTorch would repeat in every step of a search.

    Values are not validated: a search checks the result instead. Pyro's parameter store is not
    updated, and weights with a parametrization are computed once.
    """
    with (
        pyro.validation_enabled(False),
        pyro.settings.context(module_local_params=True),
        parametrize.cached(),
    ):
        yield


def not_finite() -> RunError:
    """Return the error for probabilities that are not finite."""
    return RunError(
        "the model's probabilities are not finite, so that a sentence has no translation: the "
        "weights are damaged or training diverged; use an earlier checkpoint"
    )
