"""Schedules of the KL weight (KL annealing)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pyro_align.errors import ConfigError


class KLSchedule(ABC):
    """Weight of the KL divergence as a function of the optimiser step, counted from 0.

    Args:
        steps: length of the ramp, or of one cycle, in optimiser steps.
    """

    def __init__(self, steps: int):
        if steps < 1:
            raise ConfigError(f"a KL schedule needs at least one step, got steps = {steps}")
        self.steps = steps

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Return the weight at a step, between 0 and 1."""


class ConstantKL(KLSchedule):
    """Constant 1: the evidence lower bound itself."""

    def __call__(self, step: int) -> float:
        """Return 1."""
        return 1.0


class LinearKL(KLSchedule):
    """Linear from 0 to 1 over ``steps``, then 1 (Bowman et al. 2016)."""

    def __call__(self, step: int) -> float:
        """Return the completed fraction of the ramp."""
        return min(1.0, step / self.steps)


class CyclicalKL(KLSchedule):
    """Cycles of ``steps``: a linear ramp from 0 to 1, then as many at 1 (Fu et al. 2019)."""

    def __call__(self, step: int) -> float:
        """Return the weight within the current cycle."""
        return min(1.0, 2 * (step % self.steps) / self.steps)


KL_SCHEDULES: dict[str, type[KLSchedule]] = {
    "constant": ConstantKL,
    "linear": LinearKL,
    "cyclical": CyclicalKL,
}
"""Schedules by their name in a configuration."""
