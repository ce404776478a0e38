"""Objectives that are compatible with a model and guide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyro_align.config.registry import OBJECTIVES
from pyro_align.data.batch import Batch
from pyro_align.inference import Objective
from pyro_align.inference.kinds import go_together
from pyro_align.inference.sites import latents_of


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
    latents = latents_of(model, batch), latents_of(guide, batch)
    own_name, own_options = own or ("", {})
    found: dict[str, Objective] = {}
    for name in dict.fromkeys([*OBJECTIVES, *([own_name] if own else [])]):
        kind = OBJECTIVES.get(name)
        if not go_together(*latents, kind.pairs, kind.other_sites):
            continue
        for options in kind.variants(own_options if name == own_name else {}):
            objective = OBJECTIVES.build(name, options)
            found[objective.label(name)] = objective
    return found
