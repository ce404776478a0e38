"""Weighted averages over samples that arrive in parts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor


class WeightedAverage:
    """Averages of values of every sentence over samples, with weights given by logarithms.

    Attributes:
        means: averages by name.
    """

    def __init__(self) -> None:
        self.means: dict[str, Tensor] = {}
        self._log_total: Tensor | None = None
        self._log_totals_of_prefixes: Tensor | None = None

    @property
    def log_totals_of_prefixes(self) -> Float[Tensor, "batch target"]:
        """Logarithm of the sum of the weights by the first ``t`` tokens."""
        assert self._log_totals_of_prefixes is not None
        return self._log_totals_of_prefixes

    def add(
        self,
        log_weight: Float[Tensor, "batch draw"],
        values: Mapping[str, Float[Tensor, "batch draw *shape"]],
        log_weight_of_prefixes: Float[Tensor, "batch draw target"],
    ) -> None:
        """Add samples.

        Args:
            log_weight: logarithm of the weight of each sample.
            values: values of each sample by name.
            log_weight_of_prefixes: logarithm of the weight by the first ``t`` tokens.
        """
        new = log_weight.logsumexp(1)
        prefixes = log_weight_of_prefixes.logsumexp(1)
        if self._log_total is None or self._log_totals_of_prefixes is None:
            total, kept = new, torch.zeros_like(new)
        else:
            total = torch.logaddexp(self._log_total, new)
            kept = (self._log_total - total).exp()
            prefixes = torch.logaddexp(self._log_totals_of_prefixes, prefixes)
        weight = (log_weight - total.unsqueeze(1)).exp()
        for name, value in values.items():
            mean = torch.einsum("bd,bd...->b...", weight, value)
            if name in self.means:
                mean = mean + torch.einsum("b,b...->b...", kept, self.means[name])
            self.means[name] = mean
        self._log_total, self._log_totals_of_prefixes = total, prefixes
