"""Gradients of an output layer whose logits are computed in chunks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class OutputGradients:
    """Gradients of the features, weight and bias of ``logits = features @ weight.T + bias``.

    Sums over chunks are in fp32 or better, also for parameters in half precision.

    Args:
        features: ``(row, feature)``.
        weight: ``(vocabulary, feature)``.
        bias: ``(vocabulary,)``.
        autocast: whether the forward pass ran under autocast, as the backward pass then does.
    """

    def __init__(
        self,
        features: Float[Tensor, "row feature"],
        weight: Float[Tensor, "vocabulary feature"],
        bias: Float[Tensor, " vocabulary"],
        *,
        autocast: bool,
    ):
        self._features, self._weight, self._bias = features, weight, bias
        self._autocast = autocast
        self._of_features = torch.empty_like(features)
        self._of_weight, self._of_bias = (
            torch.zeros_like(each, dtype=torch.promote_types(each.dtype, torch.float32))
            for each in (weight, bias)
        )

    def add(self, chunk: slice, slope: Float[Tensor, "n vocabulary"]) -> None:
        """Add the gradient of a chunk.

        Args:
            chunk: its rows.
            slope: gradient of the logits of these rows.
        """
        self._of_bias += slope.sum(0)
        with torch.autocast(slope.device.type, enabled=self._autocast):
            slope, part = slope.to(self._weight.dtype), self._features[chunk]
            self._of_features[chunk] = slope @ self._weight
            if self._autocast or part.dtype != self._of_weight.dtype:
                self._of_weight += slope.T @ part
            else:  # accumulated by the product itself
                self._of_weight.addmm_(slope.T, part)

    @property
    def all(self) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of features, weight and bias, in their precision."""
        weight = self._of_weight.to(self._weight.dtype)
        return self._of_features, weight, self._of_bias.to(self._bias.dtype)
