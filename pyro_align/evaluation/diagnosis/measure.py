"""Measurement of objectives on a batch: noise and bias of gradients, time and memory."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor, nn

from pyro_align.data.batch import Batch
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.evaluation import PositionMeans
from pyro_align.evaluation.diagnosis.objectives import fitting_objectives
from pyro_align.evaluation.diagnosis.result import Diagnosis, ObjectiveDiagnosis
from pyro_align.evaluation.result import MEANS
from pyro_align.inference import (
    Objective,
    PositionScores,
    Reference,
    SentenceScores,
    SimplexScores,
    score_batch,
)
from pyro_align.inference.diagnostics import (
    GradientDraws,
    effective_sample_size,
    flat_gradient,
    kept_bytes,
    without_dropout,
)
from pyro_align.inference.draws import draw
from pyro_align.inference.kinds import alignment_kind, other_sites
from pyro_align.inference.sites import latents_of

REPEATS = 48
"""Default number of samples per gradient; a small model with 16 sentences takes about a minute."""

LEAST_REPEATS = 8
"""Minimum number of samples: with fewer, standard errors are too inaccurate to detect a bias."""

LEARNING_RATE = 0.01
"""Learning rate for fitting a learnt baseline before the measurement."""


def diagnose(
    model: Any,
    guide: Any,
    batch: Batch,
    objectives: Mapping[str, Objective] | None = None,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
    progress: Callable[[str], None] = lambda name: None,
) -> Diagnosis:
    """Measure noise, bias and cost of the gradient estimates of objectives on a batch.

    The gradient is that of the loss summed over the batch, for all parameters of the guide and of
    the model. It is compared with a reference computed by enumeration: the gradient of the function
    that the objective maximises, which is the evidence lower bound for most objectives; for
    reweighted wake-sleep, the wake-phase updates under the exact posterior. Importance-weighted
    bounds and alignments on the simplex have no reference: the mean of the samples is used instead,
    and the bias is unknown.

    Modules are in evaluation mode during the measurement, so that dropout adds no noise. A learnt
    baseline is first fitted with ``repeats`` steps on the same batch, so that it performs somewhat
    better than in training. Weights, ``.grad``, modes, objectives and the global random state are
    restored.

    Args:
        model: a Pyro program over a batch, with the site ``tokens``.
        guide: a Pyro program over a batch. The parameters of programs that are not modules are
            those of their ``pyro.param`` and ``pyro.module`` statements.
        batch: sentence pairs, on the device of the programs.
        objectives: objectives by name; None for all compatible ones, see
            :func:`~pyro_align.evaluation.diagnosis.fitting_objectives`. Objectives that reject
            the programs are listed in the result.
        repeats: number of samples per gradient, 8 or more. Sixteen vectors of the size of all
            parameters are kept in memory.
        seed: random seed, set for every objective.
        progress: called with the name of the objective to be measured next.

    Raises:
        ConfigError: if ``repeats`` is too small.
        IncompatibleError: if nothing can be measured.
    """
    if repeats < LEAST_REPEATS:
        raise ConfigError(f"a diagnosis needs {LEAST_REPEATS} repeats or more, got {repeats}")
    device = batch.target.device
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        pyro.settings.context(module_local_params=True),
        without_dropout(model, guide),
    ):
        torch.manual_seed(seed)
        positions, effective = _summary(model, guide, batch)
        bench = _Bench(model, guide, batch, repeats)
        given = objectives
        if given is None:
            given = fitting_objectives(model, guide, batch)
        found: dict[str, ObjectiveDiagnosis] = {}
        skipped: dict[str, str] = {}
        for name, objective in given.items():
            progress(name)
            torch.manual_seed(seed)
            try:
                found[name] = bench.measure(objective)
            except IncompatibleError as error:
                skipped[name] = str(error)
    if not found:
        reasons = "; ".join(skipped.values()) or "there is none for their latent variables"
        raise IncompatibleError(f"no objective supports this model and guide: {reasons}")
    memory = "peak" if device.type == "cuda" else "kept"
    return Diagnosis(len(batch), repeats, positions, effective, found, skipped, memory)


class _Bench:
    """A model, a guide and a batch to measure objectives on."""

    def __init__(self, model: Any, guide: Any, batch: Batch, repeats: int):
        self.model = model
        self.guide = guide
        self.batch = batch
        self.repeats = repeats
        latents = [latents_of(program, batch) for program in (model, guide)]
        self.kinds = alignment_kind(latents[0]), alignment_kind(latents[1])
        # The gradient of a bound with other sites cannot be enumerated.
        self.is_sampled = bool(other_sites(latents[0]))
        model_parameters = _parameters(model, batch)
        own = set(map(id, model_parameters))
        self.parameters = {
            "guide": [each for each in _parameters(guide, batch) if id(each) not in own],
            "model": model_parameters,
        }
        if not any(self.parameters.values()):
            raise IncompatibleError(
                "neither model nor guide has trainable parameters: declare them with pyro.param or "
                "pyro.module, or make the program a module"
            )
        self._references: dict[str, dict[str, Tensor]] = {}

    def measure(self, objective: Objective) -> ObjectiveDiagnosis:
        """Measure one objective with the current random state."""
        objective = copy.deepcopy(objective)
        learnt = objective.module(self.model)
        extra = [] if learnt is None else list(learnt.parameters())

        def loss() -> Tensor:
            return objective.differentiable_loss(self.model, self.guide, self.batch)

        def step() -> dict[str, Tensor]:
            return self._gradients(loss(), extra)

        step()  # once with Pyro's validation, which is slow
        with _unchecked():
            memory = self._memory(loss, step)
            if learnt is not None:
                self._learn(learnt, loss)
            reference = objective.reference(self.kinds)
            if self.is_sampled:
                reference = Reference(reference.label)
            references = self._reference(reference)
            draws = {each: GradientDraws(references.get(each)) for each in self._names}
            seconds = []
            for _ in range(self.repeats):
                began = self._now()
                gradients = step()
                seconds.append(self._now() - began)
                for each, vector in gradients.items():
                    draws[each].add(vector)
        return ObjectiveDiagnosis(
            target=reference.label,
            enumerated=reference.loss is not None,
            guide=draws["guide"].statistics() if "guide" in draws else None,
            model=draws["model"].statistics() if "model" in draws else None,
            seconds=statistics.median(seconds),
            memory=memory,
        )

    @property
    def _names(self) -> list[str]:
        return [name for name, parameters in self.parameters.items() if parameters]

    def _gradients(self, loss: Tensor, extra: Iterable[Tensor] = ()) -> dict[str, Tensor]:
        """Compute gradients for guide and model, and, as in training, for ``extra``."""
        parts = [self.parameters[name] for name in self._names]
        sizes = [sum(parameter.numel() for parameter in part) for part in parts]
        everything = flat_gradient(loss, [*chain(*parts), *extra])
        return dict(zip(self._names, everything[: sum(sizes)].split(sizes), strict=True))

    def _reference(self, reference: Reference) -> dict[str, Tensor]:
        """Return the gradients of a reference; none if it cannot be computed."""
        if reference.loss is None:
            return {}
        if reference.label not in self._references:
            loss = reference.loss(self.model, self.guide, self.batch)
            self._references[reference.label] = self._gradients(loss)
        return self._references[reference.label]

    def _learn(self, module: nn.Module, loss: Callable[[], Tensor]) -> None:
        """Fit the objective's own parameters with its part of the loss."""
        parameters = list(module.parameters())
        if not parameters and not list(module.buffers()):
            return
        optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE) if parameters else None
        for _ in range(self.repeats):
            value = loss()
            if optimizer is None:
                continue
            grads = torch.autograd.grad(value, parameters, allow_unused=True)
            for parameter, grad in zip(parameters, grads, strict=True):
                parameter.grad = grad
            optimizer.step()

    def _memory(self, loss: Callable[[], Tensor], step: Callable[[], Any]) -> int:
        """Return bytes per step: peak on a GPU, saved for the backward pass on a CPU."""
        device = self.batch.target.device
        if device.type != "cuda":
            return kept_bytes(loss, chain(*self.parameters.values()))
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before

    def _now(self) -> float:
        if self.batch.target.device.type == "cuda":
            torch.cuda.synchronize(self.batch.target.device)
        return time.perf_counter()


@contextmanager
def _unchecked() -> Iterator[None]:
    """Switch Pyro's validation off, as training does after the first step."""
    checks = ("distributions_pyro", "distributions_torch", "poutine", "infer")
    with pyro.settings.context(**{f"validate_{name}": False for name in checks}):
        yield


def _parameters(program: Any, batch: Batch) -> list[Tensor]:
    """Return the trainable parameters of a program without duplicates."""
    if isinstance(program, nn.Module):
        return [parameter for parameter in program.parameters() if parameter.requires_grad]
    with torch.no_grad(), poutine.trace(param_only=True) as captured:
        program(batch)
    sites = captured.trace.nodes.values()
    found = (site["value"].unconstrained() for site in sites if site["type"] == "param")
    unique = {id(parameter): parameter for parameter in found if parameter.requires_grad}
    return list(unique.values())


def _summary(model: Any, guide: Any, batch: Batch) -> tuple[PositionMeans, float | None]:
    """Return means over the target tokens of the batch and the effective sample size."""
    scores = score_batch(model, guide, batch)
    tokens = batch.num_targets
    values = {name: getattr(scores, name) for name in MEANS}
    means = {
        name: value.double().sum().item() / tokens
        for name, value in values.items()
        if value is not None
    }
    positions = PositionMeans(tokens, estimated=scores.estimated, **means)
    if isinstance(scores, SentenceScores):
        return positions, scores.effective_sample_size.mean().item()
    fraction = _effective(model, guide, batch, scores)
    effective = None if fraction is None else fraction[batch.target_mask].double().mean().item()
    return positions, effective


def _effective(model: Any, guide: Any, batch: Batch, scores: PositionScores) -> Tensor | None:
    """Return the effective sample size per target position, as a fraction of the samples."""
    if scores.log_guide is None or alignment_kind(getattr(model, "latents", {})) == "markov":
        return None  # the weight of a path belongs to all of its positions
    if not isinstance(scores, SimplexScores):
        if scores.log_posterior is None:
            return None
        return effective_sample_size(
            scores.log_posterior, scores.log_guide, batch.source_mask.unsqueeze(1)
        )
    with torch.no_grad():
        drawn = draw(model, guide, batch)
    log_weights = drawn.log_prior + drawn.log_likelihood - drawn.log_proposal
    weights = log_weights.softmax(0)
    return 1 / (len(weights) * weights.square().sum(0))
