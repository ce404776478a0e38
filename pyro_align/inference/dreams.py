"""Dreams: batches whose observations are sampled from the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pyro import poutine
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.errors import IncompatibleError
from pyro_align.inference.traces import latent_sites, program_name, underlying


@dataclass(frozen=True)
class Dream:
    """A sample of observations and latent variables from a model, by ancestral sampling.

    Attributes:
        batch: the batch with the sampled observations in place of its own.
        values: values of the latent sites that were sampled, by name. A site ``alignment`` that is
            missing was summed out, and has its exact posterior given the rest.
    """

    batch: Batch
    values: Mapping[str, Tensor]


@torch.no_grad()
def dream(model: Any, batch: Batch) -> Dream:
    """Sample the observations of a batch from a model.

    A model whose tokens depend on earlier tokens must have a method ``dream(batch)``, which samples
    them one after the other and returns a :class:`Dream`: a run of its program reads the tokens of
    the batch instead of those that it samples. Other models are run without their observations. An
    observed site then must have the name of a field of the batch.

    Args:
        model: a Pyro program.
        batch: a batch; its sources are kept.

    Raises:
        IncompatibleError: if the model needs a method ``dream`` and has none.
    """
    if hasattr(underlying(model), "dream"):
        found: Dream = underlying(model).dream(batch)
        return found
    with poutine.block():
        trace = poutine.trace(poutine.uncondition(model)).get_trace(batch)
    sites = latent_sites(trace)
    observed = {name for name, site in sites.items() if site["infer"].get("was_observed")}
    replaced = {}
    for name in observed:
        plates = {frame.name for frame in sites[name]["cond_indep_stack"]}
        if "positions" in plates or not hasattr(batch, name):
            raise IncompatibleError(
                f"{program_name(model)} cannot be sampled without data: its site {name!r} lies in "
                f"the plate 'positions', or is no field of the batch. Define a method "
                f"dream(batch) that samples its observations in order and returns a "
                f"pyro_align.inference.Dream"
            )
        replaced[name] = sites[name]["value"].reshape(getattr(batch, name).shape)
    values = {name: site["value"] for name, site in sites.items() if name not in observed}
    return Dream(dataclasses.replace(batch, computed=None, **replaced), values)
