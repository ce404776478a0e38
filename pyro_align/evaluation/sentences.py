"""Means over sentences, of models with latent variables of sentences or without any."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyro_align.evaluation.result import SentenceMeans
from pyro_align.inference import SentenceScores


class SentenceSums:
    """Collects the scores of sentences."""

    def __init__(self) -> None:
        self._draws = 0
        self._values: dict[str, list[Tensor]] = {}
        self._sites: list[str] = []

    def add(self, scores: SentenceScores) -> None:
        """Add the scores of a batch."""
        divergences = scores.divergences or {}
        self._sites = list(divergences)
        self._draws = scores.draws
        values = {
            "log_evidence": scores.log_evidence,
            "elbo": scores.elbo,
            "effective_sample_size": scores.effective_sample_size,
            **{f"kl of {name}": value for name, value in divergences.items()},
        }
        for name, value in values.items():
            if value is not None:
                self._values.setdefault(name, []).append(value.double().cpu())

    def means(self) -> SentenceMeans | None:
        """Return the means; None if there are no scores."""
        if not self._values:
            return None
        values = {name: torch.cat(parts) for name, parts in self._values.items()}
        evidence = values["log_evidence"]
        means = {name: value.mean().item() for name, value in values.items()}
        spread = evidence.std().item() if len(evidence) > 1 else math.nan
        return SentenceMeans(
            draws=self._draws,
            nll=-means["log_evidence"],
            nll_error=spread / math.sqrt(len(evidence)),
            elbo=means.get("elbo"),
            divergences={name: means[f"kl of {name}"] for name in self._sites},
            effective_sample_size=means["effective_sample_size"],
        )
