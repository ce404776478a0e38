"""Objectives that are compatible with a model and guide, and their reference gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyro_align.config.registry import OBJECTIVES
from pyro_align.data.batch import Batch
from pyro_align.inference import (
    BASELINES,
    EnumeratedELBO,
    ExactMarginal,
    Likelihood,
    Objective,
    ReweightedWakeSleep,
    ScoreFunctionELBO,
    TopKMarginal,
)
from pyro_align.inference.enumeration import enumerated_log_probs, enumerated_trace
from pyro_align.inference.importance import ImportanceObjective
from pyro_align.inference.kinds import AlignmentKind, alignment_kind

LEAVE_ONE_OUT = (2, 3, 4)
"""Numbers of samples with which the baseline ``leave-one-out`` is measured."""


def fitting_objectives(
    model: Any, guide: Any, batch: Batch, own: tuple[str, Mapping[str, Any]] | None = None
) -> dict[str, Objective]:
    """Create all registered objectives that are compatible, by :func:`label`; one per baseline.

    Args:
        model: a Pyro program.
        guide: a Pyro program.
        batch: a batch to run programs on that have no attribute ``latents``.
        own: name and options of the objective in use; it is included, and other objectives of the
            same class get its options.
    """
    pair = latents(model, guide, batch)
    own_name, own_options = own or ("", {})
    found: dict[str, Objective] = {}
    for name in dict.fromkeys([*OBJECTIVES, *([own_name] if own else [])]):
        kind = OBJECTIVES.get(name)
        if pair not in kind.pairs:
            continue
        given = dict(own_options) if name == own_name else {}
        for options in [*_variants(kind, given), given]:
            objective = OBJECTIVES.build(name, options)
            found[label(name, objective)] = objective
    return found


def _variants(kind: type[Any], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the options for every baseline."""
    if kind is not ScoreFunctionELBO:
        return
    for baseline, cls in BASELINES.items():
        if cls.samples > 1:
            yield from ({**options, "baseline": baseline, "samples": k} for k in LEAVE_ONE_OUT)
        else:
            yield {**options, "baseline": baseline}


def label(name: str, objective: Objective) -> str:
    """Return the label of an objective: name, baseline, and number of samples if above one."""
    kept = getattr(objective, "baseline", None)
    baseline = [each for each, cls in BASELINES.items() if type(kept) is cls]
    samples = [f"K={objective.num_particles}"] if objective.num_particles > 1 else []
    return ", ".join([name.rpartition(":")[-1], *baseline, *samples])


def latents(model: Any, guide: Any, batch: Batch) -> tuple[AlignmentKind, AlignmentKind]:
    """Return the kind of ``alignment`` in model and guide: their ``latents``, else from a run."""
    return _latent(model, batch), _latent(guide, batch)


def _latent(program: Any, batch: Batch) -> AlignmentKind:
    if (declared := getattr(program, "latents", None)) is not None:
        return alignment_kind(declared)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        trace = poutine.trace(program).get_trace(batch)
    if "alignment" not in trace.nodes:
        return "none"
    return (
        "categorical" if isinstance(trace.nodes["alignment"]["fn"], dist.Categorical) else "simplex"
    )


def target(
    objective: Objective, model: Any, guide: Any, batch: Batch
) -> tuple[str, Callable[[], Tensor] | None]:
    """Return name and loss of the function whose gradient an objective estimates.

    This is the evidence lower bound for most objectives. The loss is computed by enumeration; it is
    None if that is impossible (alignments on the simplex, sums over all K-tuples of alignments) or
    if the objective is exact.
    """
    if isinstance(objective, ReweightedWakeSleep):
        return "wake phase", lambda: wake_phase(model, guide, batch)
    if isinstance(objective, ImportanceObjective) and objective.num_particles > 1:
        return "importance-weighted bound", None
    pair = latents(model, guide, batch)
    if isinstance(objective, TopKMarginal):
        return "log evidence", lambda: ExactMarginal().differentiable_loss(model, guide, batch)
    if isinstance(objective, ExactMarginal | Likelihood):
        return "log evidence" if pair[1] == "none" else "log evidence; guide: ELBO", None
    bits = float(getattr(objective, "free_bits", 0.0))
    name = f"ELBO, {bits:g} free bits" if bits else "ELBO"
    if "simplex" in pair or "none" in pair:
        return name, None
    enumerated = EnumeratedELBO(free_bits=bits)
    return name, lambda: enumerated.differentiable_loss(model, _categorical(guide), batch)


def wake_phase(model: Any, guide: Any, batch: Batch) -> Tensor:
    """Compute ``−Σ_t Σ_s p(s | y) (log p(y, s) + log q(s))`` with the exact posterior held fixed.

    Its gradient is the limit of the reweighted wake-sleep gradient for infinitely many samples.
    """
    batch = batch.sharing()
    model_trace, guide_trace = (enumerated_trace(each, batch) for each in (model, guide))
    log_joint = sum(
        enumerated_log_probs(model_trace, site, batch) for site in ("alignment", "tokens")
    )
    log_guide = enumerated_log_probs(guide_trace, "alignment", batch)
    assert isinstance(log_joint, Tensor)
    # Log probabilities are zero on padded target positions.
    return -(log_joint.detach().softmax(-1) * (log_joint + log_guide)).sum()


def _categorical(guide: Callable[..., Any]) -> Callable[..., Any]:
    """Replace a relaxed alignment of the guide by the Categorical that it relaxes."""
    return _Unrelaxed()(guide)


class _Unrelaxed(Messenger):
    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == "alignment" and not isinstance(msg["fn"], dist.Categorical):
            msg["fn"] = dist.Categorical(logits=msg["fn"].logits)
