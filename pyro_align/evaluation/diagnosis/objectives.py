"""Objectives that are compatible with a model and guide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyro.distributions as dist
import torch
from pyro import poutine

from pyro_align.config.registry import OBJECTIVES
from pyro_align.data.batch import Batch
from pyro_align.inference import Objective
from pyro_align.inference.kinds import AlignmentKind, alignment_kind


def fitting_objectives(
    model: Any, guide: Any, batch: Batch, own: tuple[str, Mapping[str, Any]] | None = None
) -> dict[str, Objective]:
    """Create all registered objectives that are compatible, by label; one per baseline.

    Args:
        model: a Pyro program.
        guide: a Pyro program.
        batch: a batch to run programs on that have no attribute ``latents``.
        own: name and options of the objective in use; it is included, and other objectives of the
            same class get its options.
    """
    pair = alignment_kinds(model, guide, batch)
    own_name, own_options = own or ("", {})
    found: dict[str, Objective] = {}
    for name in dict.fromkeys([*OBJECTIVES, *([own_name] if own else [])]):
        kind = OBJECTIVES.get(name)
        if pair not in kind.pairs:
            continue
        for options in kind.variants(own_options if name == own_name else {}):
            objective = OBJECTIVES.build(name, options)
            found[objective.label(name)] = objective
    return found


def alignment_kinds(model: Any, guide: Any, batch: Batch) -> tuple[AlignmentKind, AlignmentKind]:
    """Return the kind of ``alignment`` in model and guide: as declared, or else from a run."""
    return _alignment_kind(model, batch), _alignment_kind(guide, batch)


def _alignment_kind(program: Any, batch: Batch) -> AlignmentKind:
    if (declared := getattr(program, "latents", None)) is not None:
        return alignment_kind(declared)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        trace = poutine.trace(program).get_trace(batch)
    if "alignment" not in trace.nodes:
        return "none"
    return (
        "categorical" if isinstance(trace.nodes["alignment"]["fn"], dist.Categorical) else "simplex"
    )
