"""Samples of alignments as ArviZ data."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyro_align.errors import UserError
from pyro_align.posterior.dataset import padded, tokens
from pyro_align.posterior.sentence import SentencePosterior


def inference_data(
    sentences: Sequence[SentencePosterior], title: str, kind: str, draws: int, seed: int
) -> Any:
    """Implement ``AlignmentPosterior.to_arviz``.

    Raises:
        UserError: if ArviZ is not installed.
    """
    try:
        arviz: Any = importlib.import_module("arviz")
        xarray: Any = importlib.import_module("xarray")
    except ModuleNotFoundError:
        raise UserError("to_arviz needs ArviZ: pip install arviz") from None
    # Separate seeds per sentence and group, so that their samples are independent.
    seeds = np.random.SeedSequence(seed).generate_state(2 * len(sentences)).reshape(2, -1)
    names = tokens(sentences)
    groups = {
        group: xarray.Dataset(
            {"alignment": _alignment(sentences, of, draws, seeds[number].tolist())},
            coords=names,
            attrs={"title": title, "distribution": of},
        )
        for number, (group, of) in enumerate((("prior", "prior"), ("posterior", kind)))
    }
    groups["observed_data"] = xarray.Dataset({"target_tokens": names["target_token"]})
    groups["constant_data"] = xarray.Dataset({"source_tokens": names["source_token"]})
    # ArviZ 1 uses xarray.DataTree.
    if hasattr(arviz, "InferenceData"):
        return arviz.InferenceData(**groups)
    return xarray.DataTree.from_dict(groups)


def _alignment(
    sentences: Sequence[SentencePosterior], kind: str, draws: int, seeds: Sequence[int]
) -> tuple[tuple[str, ...], Any]:
    """Return dimensions and padded samples of all sentences, in one chain."""
    rows = max(len(one.target) for one in sentences)
    columns = max(len(one.source) for one in sentences)
    found = [one.samples(kind, draws, each) for one, each in zip(sentences, seeds, strict=True)]
    shape = (draws, rows, columns)[: found[0].ndim]
    dimensions = ("chain", "draw", "sentence", "target", "source")[: 2 + found[0].ndim]
    stacked = np.stack([padded(each, shape) for each in found], axis=1)
    return dimensions, stacked[np.newaxis]
