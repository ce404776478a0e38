"""Base class of objectives: Pyro ELBOs with a strategy for the site ``alignment``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from pyro.infer import ELBO
from torch import Tensor, nn

from pyro_align.data.batch import Batch
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.inference import sites
from pyro_align.inference.kinds import (
    AlignmentKind,
    Latent,
    OtherSites,
    alignment_kind,
    go_together,
    other_sites,
)
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.sharing import shared_arguments
from pyro_align.inference.traces import (
    ALIGNMENT,
    Traces,
    latent_sites,
    program_name,
    same_scale,
    torch_backward,
    trace_pair,
)


@dataclass(frozen=True)
class Terms:
    """Terms of an objective on a batch, summed over its target positions, in nats.

    Attributes:
        loss: the loss to differentiate. Its value is the negative (KL-weighted) bound, its gradient
            the objective's estimate of the gradient of that bound.
        log_likelihood: expected log probability of the tokens; without gradient.
        kl: KL divergence of the guide from the prior by latent site, unweighted; without gradient.
            Sites that are marginalised have none.
    """

    loss: Float[Tensor, ""]
    log_likelihood: Float[Tensor, ""]
    kl: Mapping[str, Float[Tensor, ""]]

    @property
    def total_kl(self) -> Float[Tensor, ""]:
        """Sum of :attr:`kl` over the sites; zero without latent variables to infer."""
        return sum(self.kl.values(), start=self.log_likelihood.new_zeros(()))


@dataclass(frozen=True)
class Reference:
    """What the gradient of an objective is compared with in a diagnosis of gradients.

    Attributes:
        label: name of the function whose gradient the objective estimates.
        loss: that function, negative, of model, guide and batch, computed by enumeration of the
            alignment; None if that is impossible or if the objective itself is exact.
    """

    label: str
    loss: Callable[[Any, Any, Batch], Tensor] | None = None


class Objective(ELBO, ABC):
    """Base class of objectives. Each is a Pyro ELBO, to use with ``SVI`` or as a loss module.

    ``SVI(model, guide, optim, objective)`` and ``objective(model, guide)`` both work. An objective
    has its own :attr:`strategy` for the site ``alignment``: a subclass lists the kinds that it
    accepts in :attr:`pairs` and computes the terms of observations and alignment in :meth:`_terms`.
    All other latent sites are inferred by pathwise gradients, with their KL divergence in closed
    form or else estimated from the sample, see :mod:`pyro_align.inference.sites`. A site that
    cannot be inferred like this is an error. Pyro's three loss functions are derived from
    :meth:`terms`. A subclass may also inherit from a stock ELBO, to use the traces of that class.

    Args:
        samples: alignments sampled per target position, vectorised in one pair of traces.

    Attributes:
        kl_weight: weight of the KL divergences, 1 for the evidence lower bound itself. Training
            may change it (KL annealing).
        step: optimiser step, counted from 0. Training sets it before each step, and everything
            that changes during training is a function of it. None outside of training: the
            objective is then the bound itself.
    """

    pairs: ClassVar[frozenset[tuple[AlignmentKind, AlignmentKind]]]
    """Accepted kinds of the site ``alignment``, as pairs (model, guide)."""

    strategy: ClassVar[str]
    """How the site ``alignment`` is inferred, for messages."""

    weighs_kl: ClassVar[bool] = True
    """Whether the objective contains a KL divergence of the alignment from its prior, weighted by
    :attr:`kl_weight`."""

    other_sites: ClassVar[OtherSites] = "both"
    """Where latent sites other than ``alignment`` are accepted: ``"both"`` in model and guide,
    ``"some"`` if there must be one in both, ``"model"`` in the model alone, ``"none"`` if they are
    an error."""

    is_pathwise: ClassVar[bool] = True
    """Whether pathwise gradients infer these sites; otherwise :meth:`_terms` does."""

    weighs_other_sites: ClassVar[bool] = True
    """Whether :attr:`kl_weight` weights their divergence from the prior."""

    trains_model_by_guide: ClassVar[bool] = True
    """Whether the gradient for the model depends on the guide's alignment."""

    def __init__(self, *, samples: int = 1):
        super().__init__(
            max_plate_nesting=MAX_PLATE_NESTING,
            num_particles=samples,
            vectorize_particles=samples > 1,
            # Subclasses enumerate themselves and raise an error if there is nothing to enumerate.
            strict_enumeration_warning=False,
        )
        self.kl_weight = 1.0
        self.step: int | None = None

    def terms(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Terms:
        """Compute loss, log likelihood and KL divergence on a batch.

        Args:
            model: a Pyro program.
            guide: a Pyro program.
            *args: arguments of both programs, usually one batch.
            **kwargs: keyword arguments of both programs.

        Raises:
            IncompatibleError: if model and guide do not go together, or have a latent site that
                the objective would ignore.
            ConfigError: if the KL weight is not 1 and the objective has no KL divergence.
        """
        self.check(model, guide)
        args = self._arguments(args)
        traces = self._traces(model, guide, args, kwargs)
        others = sites.divergences(traces) if self.is_pathwise else {}
        others = {name: kl / self.num_particles for name, kl in others.items()}
        weighs_others = self.weighs_other_sites and sites.other_latents(traces.guide_trace)
        if self.kl_weight != 1 and not (self.weighs_kl or weighs_others):
            raise ConfigError(
                f"{type(self).__name__} has no KL divergence, so a KL weight of "
                f"{self.kl_weight:g} has no effect: set training.kl_schedule = 'constant'"
            )
        terms = self._terms(traces, args, kwargs)
        if not others:
            return terms
        return Terms(
            loss=terms.loss + self.kl_weight * sum(self._penalties(traces, others).values()),
            log_likelihood=terms.log_likelihood,
            kl={**terms.kl, **{name: kl.detach() for name, kl in others.items()}},
        )

    def _penalties(
        self, traces: Traces, divergences: Mapping[str, Float[Tensor, ""]]
    ) -> Mapping[str, Float[Tensor, ""]]:
        """Return what is penalised of the divergences of the sites other than ``alignment``."""
        return divergences

    def _arguments(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments that both programs are run with."""
        return shared_arguments(args)

    def _handled(self, model: Any, guide: Any) -> tuple[Any, Any]:
        """Return model and guide with the handlers that the objective needs."""
        return model, guide

    def _traces(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Traces:
        """Trace model and guide, and check that every latent site can be inferred.

        Raises:
            IncompatibleError: if a latent site would be ignored, or the alignment is missing.
        """
        pair = trace_pair(self, self._handled(model, guide), args, kwargs)
        traces = Traces(model, guide, *pair, nesting=self.max_plate_nesting)
        who = type(self).__name__
        sites.check_sites(traces, who, self.strategy, alone=self.other_sites == "none")
        model_kinds, guide_kinds = (set(kinds) for kinds in zip(*self.pairs, strict=True))
        for program, trace, kinds in (
            (guide, traces.guide_trace, guide_kinds),
            (model, traces.model_trace, model_kinds),
        ):
            if "none" not in kinds and ALIGNMENT not in trace:
                raise IncompatibleError(
                    f"{who} needs a site named {ALIGNMENT!r}, but {program_name(program)} has none"
                )
            if kinds == {"none"} and ALIGNMENT in latent_sites(trace):
                raise IncompatibleError(
                    f"{who} does not infer the site {ALIGNMENT!r}, but {program_name(program)} "
                    f"samples it; `pyro-align list` shows the supported combinations"
                )
        if ALIGNMENT in traces.guide_trace and not same_scale(traces.prior, traces.alignment):
            raise IncompatibleError(
                f"{who} scales a bound as a whole, but the model's scale is "
                f"{traces.prior['scale']} and the guide's {traces.alignment['scale']}: apply "
                f"poutine.scale to both"
            )
        return traces

    @abstractmethod
    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Compute the terms of observations and alignment.

        Args:
            traces: of model and guide.
            args: arguments of both programs; batches among them share computations.
            kwargs: keyword arguments of both programs.
        """

    @classmethod
    def check(cls, model: Any, guide: Any) -> None:
        """Check that a model and a guide, or their classes, can be used with the objective.

        Programs without an attribute ``latents`` pass the check.

        Raises:
            IncompatibleError: if they do not; the message lists the accepted pairs.
        """
        of_model, of_guide = (getattr(program, "latents", None) for program in (model, guide))
        if (
            of_model is None
            or of_guide is None
            or go_together(of_model, of_guide, cls.pairs, cls.other_sites)
        ):
            return
        others: Mapping[str, str] = {} if cls.other_sites == "none" else other_sites(of_model)
        if cls.other_sites == "some" and not others:
            others = {"sentence": "gaussian"}
        of_both = {} if cls.other_sites == "model" else others
        fitting = " or ".join(
            f"a model with latents = {_latents(model, others)} and a guide with latents = "
            f"{_latents(guide, of_both)}"
            for model, guide in sorted(cls.pairs)
        )
        raise IncompatibleError(
            f"{cls.__name__} needs {fitting}, but {_class_name(model)} has latents = "
            f"{of_model} and {_class_name(guide)} has latents = {of_guide}; "
            f"{cls._hint(of_model)}`pyro-align list` shows the supported combinations"
        )

    @classmethod
    def _hint(cls, of_model: Mapping[str, Latent]) -> str:
        """Say what to use instead if the alignments of a sentence are one path."""
        if alignment_kind(of_model) != "markov":
            return ""
        if any(model == "markov" for model, _ in cls.pairs):
            return (
                "the alignments of a sentence are one path, which this guide does not sample: use "
                "MarkovGuide, or ExactMarginal with NoGuide; "
            )
        return (
            "the alignments of a sentence are one path, so that no position can be inferred by "
            "itself: use ExactMarginal, which sums over all paths, or EnumeratedELBO or "
            "ScoreFunctionELBO with MarkovGuide; "
        )

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """Return what the gradient is compared with in a diagnosis.

        Args:
            kinds: kinds of the alignment in model and guide.
        """
        return Reference("ELBO")

    @classmethod
    def variants(cls, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the options with which a diagnosis measures the objective.

        Args:
            options: options in use.
        """
        yield dict(options)

    def label(self, name: str) -> str:
        """Return a name for tables and figures: ``name``, and the number of samples if above 1.

        Args:
            name: name of the objective in a configuration, or ``path/to/file.py:Class``.
        """
        name = name.rpartition(":")[-1]
        return f"{name}, K={self.num_particles}" if self.num_particles > 1 else name

    def figures(self) -> dict[str, float]:
        """Return quantities to log in training, by name, such as an acceptance rate."""
        return {}

    def remedies(self) -> list[str]:
        """Return changes of the objective that may prevent posterior collapse, with settings."""
        return []

    def __call__(self, model: Any, guide: Any) -> Any:
        """Return an ``ELBOModule`` that computes the loss of a batch.

        It has the parameters and the state of model, guide and objective.
        """
        self.check(model, guide)
        loss = super().__call__(model, guide)
        own = self.module(model)
        if own is not None:
            loss.objective = own
        return loss

    def module(self, model: Any) -> nn.Module | None:
        """Return the module with the objective's own parameters and state, such as a baseline.

        Training saves and resumes it with model and guide, but it is not published with them: a
        trained model is used without it.

        Args:
            model: the model that the objective is used with, for its sizes.
        """
        return None

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Compute the negative bound as a differentiable tensor."""
        return self.terms(model, guide, *args, **kwargs).loss

    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Compute the negative bound without gradient."""
        with torch.no_grad():
            return self.terms(model, guide, *args, **kwargs).loss.item()

    def loss_and_grads(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Compute the negative bound and accumulate its gradient in the parameters' ``.grad``."""
        loss = self.terms(model, guide, *args, **kwargs).loss
        torch_backward(loss, retain_graph=self.retain_graph)
        return loss.item()


def _latents(alignment: AlignmentKind, others: Mapping[str, str]) -> dict[str, str]:
    return {**({} if alignment == "none" else {ALIGNMENT: alignment}), **others}


def _class_name(program: Any) -> str:
    return (program if isinstance(program, type) else type(program)).__name__
