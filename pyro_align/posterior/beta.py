"""Quantiles of Beta distributions, which are the marginals of a Dirichlet."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_HALVINGS = 60
_TERMS = 2_000
_TINY = 1e-300


def beta_quantile(probability: float, a: Floats, b: Floats) -> NDArray[np.float64]:
    """Where the distribution function of each ``Beta(a, b)`` reaches a probability.

    By bisection, right to 1e-15 in absolute terms.

    Args:
        probability: between 0 and 1.
        a: first parameters, positive.
        b: second parameters, not negative; where one is zero all mass lies at 1.
    """
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    point = b <= 0
    inner = np.where(point, 1.0, b)
    low, high = np.zeros(a.shape), np.ones(a.shape)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = beta_cdf(middle, a, inner) < probability
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(point, 1.0, (low + high) / 2)


def beta_cdf(x: Floats, a: Floats, b: Floats) -> NDArray[np.float64]:
    """Distribution function of ``Beta(a, b)``, the regularised incomplete beta function.

    By its continued fraction (DLMF 8.17.22), on the side of the mean where that converges fast.
    """
    x, a, b = np.broadcast_arrays(*(np.asarray(each, np.float64) for each in (x, a, b)))
    swap = x > (a + 1) / (a + b + 2)
    y = np.where(swap, 1 - x, x)
    p, q = np.where(swap, b, a), np.where(swap, a, b)
    with np.errstate(divide="ignore"):
        log_front = p * np.log(y) + q * np.log1p(-y) - _log_beta(p, q) - np.log(p)
    value = np.exp(log_front) / _fraction(y, p, q)
    return np.where(swap, 1 - value, value)


def _fraction(x: NDArray[Any], a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """``1 + d₁ x/(1 + d₂ x/(1 + …))`` by the modified Lentz algorithm."""
    value = ratio = np.ones_like(x)
    inverse = np.zeros_like(x)
    for term in range(1, _TERMS):
        m = term // 2
        if term % 2:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        inverse = 1 / _away_from_zero(1 + step * inverse)
        ratio = _away_from_zero(1 + step / ratio)
        change = ratio * inverse
        value = value * change
        if np.all(np.abs(change - 1) < 1e-14):
            break
    return value


def _away_from_zero(value: NDArray[Any]) -> NDArray[Any]:
    return np.where(np.abs(value) < _TINY, _TINY, value)


def _log_beta(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    left, right = torch.from_numpy(a.copy()), torch.from_numpy(b.copy())
    return (left.lgamma() + right.lgamma() - (left + right).lgamma()).numpy()
