"""Results of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pyro_align.evaluation import PositionMeans
from pyro_align.inference.diagnostics import GradientStatistics

_MEASURES = {
    "signal": "signal",
    "signal_error": "signal_error",
    "noise_to_signal": "noise_to_signal",
    "noise_to_signal_error": "noise_to_signal_error",
    "bias": "relative_bias",
    "bias_error": "relative_bias_error",
    "detectable": "relative_detectable",
    "biased": "biased",
}
"""Maps columns of the data frame to attributes of :class:`GradientStatistics`."""


@dataclass(frozen=True)
class ObjectiveDiagnosis:
    """Measurements of one objective.

    Attributes:
        target: name of the function whose gradient is estimated.
        enumerated: whether the reference is the gradient of the target, by enumeration; else it is
            the mean of the samples, and the bias is unknown.
        guide: statistics of the guide's gradient; None for a guide without parameters.
        model: statistics of the model's gradient; None for a model without parameters.
        seconds: median time per step, forward and backward.
        memory: bytes per step, see :attr:`Diagnosis.memory`.
    """

    target: str
    enumerated: bool
    guide: GradientStatistics | None
    model: GradientStatistics | None
    seconds: float
    memory: int


@dataclass(frozen=True)
class Diagnosis:
    """Noise, bias and cost of the gradients of each objective for a model and guide.

    Attributes:
        sentences: number of sentence pairs of the batch.
        repeats: number of samples per gradient.
        positions: log evidence, bound, KL divergences and entropies, means over target tokens.
        effective_sample_size: of the importance weights, as a fraction of the samples, mean over
            target tokens; None if the guide has no alignment.
        objectives: measurements by name.
        skipped: error messages of objectives that rejected the programs, by name.
        memory: kind of memory measured: ``peak`` of a step on a GPU; ``kept`` for the backward pass
            on a CPU, where the peak is not available.
    """

    sentences: int
    repeats: int
    positions: PositionMeans
    effective_sample_size: float | None
    objectives: dict[str, ObjectiveDiagnosis]
    skipped: dict[str, str]
    memory: str

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one row per objective; unknown values are missing.

        The columns ``guide_…`` and ``model_…`` are, for either gradient: ``signal``, the norm of
        the reference, and ``signal_error``; ``noise_to_signal``, ``bias``, their standard errors
        and ``detectable``, the smallest bias that would be detected, all divided by the signal; and
        ``biased``. ``seconds`` and ``bytes`` are per step.
        """
        frame = pd.DataFrame.from_dict(
            {name: _row(found) for name, found in self.objectives.items()}, orient="index"
        )
        return frame.rename_axis("objective")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without unknown values."""
        return {
            "sentences": self.sentences,
            "repeats": self.repeats,
            **_known(vars(self.positions)),
            **_known({"effective_sample_size": self.effective_sample_size}),
            "memory": self.memory,
            "objectives": {name: _known(_row(found)) for name, found in self.objectives.items()},
            "skipped": self.skipped,
        }


def _row(found: ObjectiveDiagnosis) -> dict[str, Any]:
    row: dict[str, Any] = {"target": found.target, "enumerated": found.enumerated}
    for name in ("guide", "model"):
        statistics: GradientStatistics | None = getattr(found, name)
        for column, attribute in _MEASURES.items():
            row[f"{name}_{column}"] = getattr(statistics, attribute, None)
    return {**row, "seconds": found.seconds, "bytes": found.memory}


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
