"""What a diagnosis found."""

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
"""Column of a frame to attribute of :class:`GradientStatistics`."""


@dataclass(frozen=True)
class ObjectiveDiagnosis:
    """One objective, on the batch.

    Attributes:
        target: what its gradient is to estimate.
        enumerated: whether the reference is the target's gradient, by enumeration; else it is the
            mean of the draws, and nothing is known of a bias.
        guide: statistics of the guide's gradient; None for a guide without parameters.
        model: statistics of the model's gradient; None for a model without parameters.
        seconds: median time of a step, forward and backward.
        memory: bytes that a step needs, as :attr:`Diagnosis.memory` says.
    """

    target: str
    enumerated: bool
    guide: GradientStatistics | None
    model: GradientStatistics | None
    seconds: float
    memory: int


@dataclass(frozen=True)
class Diagnosis:
    """What each objective's gradient is worth for a model and guide, and what it costs.

    Attributes:
        sentences: sentence pairs of the batch.
        repeats: draws of every gradient.
        positions: log evidence, bound, divergences and entropies, means over target tokens.
        effective_sample_size: of importance weights, as a fraction of the draws, mean over target
            tokens; None without a guide's alignment.
        objectives: by name.
        skipped: objectives that refused the programs, with what they said.
        memory: what is measured: the ``peak`` of a step on a GPU, on a CPU what is ``kept`` from
            the forward for the backward pass, where no allocator tells more.
    """

    sentences: int
    repeats: int
    positions: PositionMeans
    effective_sample_size: float | None
    objectives: dict[str, ObjectiveDiagnosis]
    skipped: dict[str, str]
    memory: str

    def to_frame(self) -> pd.DataFrame:
        """One row an objective; what is not known is missing.

        The columns ``guide_…`` and ``model_…`` are, for either gradient, ``signal``, the norm of
        the reference, with ``signal_error``; ``noise_to_signal``, ``bias`` and their standard
        errors, and ``detectable``, the least bias that would have shown, all divided by the
        signal; and ``biased``. ``seconds`` and ``bytes`` are of a step.
        """
        frame = pd.DataFrame.from_dict(
            {name: _row(found) for name, found in self.objectives.items()}, orient="index"
        )
        return frame.rename_axis("objective")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; what is not known is left out."""
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
