"""Alignment posteriors as one xarray dataset."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyro_align.errors import UserError
from pyro_align.posterior.sentence import SentencePosterior
from pyro_align.posterior.storage import MATRICES, POSITIONS


def dataset(sentences: Sequence[SentencePosterior], title: str) -> Any:
    """Implement ``AlignmentPosterior.to_xarray``.

    Raises:
        UserError: if xarray is not installed.
    """
    try:
        xarray: Any = importlib.import_module("xarray")
    except ModuleNotFoundError:
        raise UserError("to_xarray needs xarray: pip install xarray") from None
    rows = max(len(one.target) for one in sentences)
    columns = max(len(one.source) for one in sentences)
    variables: dict[str, Any] = {}
    for name in (*MATRICES, *POSITIONS):
        shape = (rows, columns) if name in MATRICES else (rows,)
        given = [getattr(one, name) for one in sentences]
        if any(value is not None for value in given):
            dimensions = ("sentence", "target", "source")[: len(shape) + 1]
            variables[name] = (dimensions, np.stack([padded(value, shape) for value in given]))
    return xarray.Dataset(variables, coords=tokens(sentences), attrs={"title": title})


def tokens(sentences: Sequence[SentencePosterior]) -> dict[str, tuple[tuple[str, str], Any]]:
    """Return the coordinates ``target_token`` and ``source_token``, empty on padding."""
    found = {}
    for side in ("target", "source"):
        given = [getattr(one, side) for one in sentences]
        width = max(map(len, given))
        found[f"{side}_token"] = (
            ("sentence", side),
            [[*each, *[""] * (width - len(each))] for each in given],
        )
    return found


def padded(value: Any, shape: tuple[int, ...]) -> Any:
    """Pad a value with NaN to a shape; all NaN if it is None."""
    array = np.full(shape, np.nan)
    if value is not None:
        array[tuple(map(slice, value.shape))] = value
    return array
