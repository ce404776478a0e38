"""Base class of objectives: Pyro ELBOs with one latent site, ``alignment``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from pyro.infer import ELBO
from pyro.infer.util import torch_backward
from torch import Tensor, nn

from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.inference.kinds import AlignmentKind, Latent, go_together, other_sites
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.sharing import shared_arguments
from pyro_align.inference.traces import ALIGNMENT, latent_sites, program_name, traces


@dataclass(frozen=True)
class Terms:
    """Terms of an objective on a batch, summed over its target positions, in nats.

    Attributes:
        loss: the loss to differentiate. Its value is the negative (KL-weighted) bound, its gradient
            the objective's estimate of the gradient of that bound.
        log_likelihood: expected log probability of the tokens; without gradient.
        kl: KL divergence of the guide from the prior, unweighted; without gradient. Zero without
            latent variables to infer.
    """

    loss: Float[Tensor, ""]
    log_likelihood: Float[Tensor, ""]
    kl: Float[Tensor, ""]


class Objective(ELBO, ABC):
    """Base class of objectives. Each is a Pyro ELBO, to use with ``SVI`` or as a loss module.

    ``SVI(model, guide, optim, objective)`` and ``objective(model, guide)`` both work. A subclass
    lists the kinds of alignment it accepts in :attr:`pairs` and computes :meth:`_terms` from
    :meth:`_traces`; Pyro's three loss functions are derived from it. It may also inherit from a
    stock ELBO, to use the traces of that class.

    Args:
        samples: alignments sampled per target position, vectorised in one pair of traces.

    Attributes:
        kl_weight: weight of the KL divergence, 1 for the evidence lower bound itself. Training
            may change it (KL annealing).
        step: optimiser step, counted from 0. Training sets it before each step, and everything
            that changes during training is a function of it. None outside of training: the
            objective is then the bound itself.
    """

    pairs: ClassVar[frozenset[tuple[AlignmentKind, AlignmentKind]]]
    """Accepted kinds of the site ``alignment``, as pairs (model, guide)."""

    weighs_kl: ClassVar[bool] = True
    """Whether the objective contains a KL divergence from the prior, weighted by
    :attr:`kl_weight`."""

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
        if self.kl_weight != 1 and not self.weighs_kl:
            raise ConfigError(
                f"{type(self).__name__} has no KL divergence, so a KL weight of "
                f"{self.kl_weight:g} has no effect: set training.kl_schedule = 'constant'"
            )
        return self._terms(model, guide, shared_arguments(args), kwargs)

    def _traces(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Trace model and guide, and check that their only latent site is ``alignment``.

        Raises:
            IncompatibleError: if a latent site would be ignored, or the site is missing.
        """
        model_trace, guide_trace = traces(self, model, guide, args, kwargs)
        model_kinds, guide_kinds = (set(kinds) for kinds in zip(*self.pairs, strict=True))
        for program, trace, kinds in (
            (guide, guide_trace, guide_kinds),
            (model, model_trace, model_kinds),
        ):
            if "none" not in kinds and ALIGNMENT not in trace:
                raise IncompatibleError(
                    f"{type(self).__name__} needs a site named {ALIGNMENT!r}, but "
                    f"{program_name(program)} has none"
                )
            if kinds == {"none"} and ALIGNMENT in latent_sites(trace):
                raise IncompatibleError(
                    f"{type(self).__name__} accepts no latent site, but {program_name(program)} "
                    f"has {ALIGNMENT!r}; `pyro-align list` shows the supported combinations"
                )
        return model_trace, guide_trace

    @abstractmethod
    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Compute the terms; batches among ``args`` share computations, see ``Batch.sharing``."""

    @classmethod
    def check(cls, model: Any, guide: Any) -> None:
        """Check that a model and a guide, or their classes, can be used with the objective.

        Programs without an attribute ``latents`` pass the check.

        Raises:
            IncompatibleError: if they do not; the message lists the accepted pairs.
        """
        of_model, of_guide = (getattr(program, "latents", None) for program in (model, guide))
        if of_model is None or of_guide is None or go_together(of_model, of_guide, cls.pairs):
            return
        others = other_sites(of_model)
        fitting = " or ".join(
            f"a model with latents = {_latents(model, others)} and a guide with latents = "
            f"{_latents(guide, others)}"
            for model, guide in sorted(cls.pairs)
        )
        raise IncompatibleError(
            f"{cls.__name__} needs {fitting}, but {_class_name(model)} has latents = "
            f"{of_model} and {_class_name(guide)} has latents = {of_guide}; "
            f"`pyro-align list` shows the supported combinations"
        )

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


def _latents(alignment: AlignmentKind, others: dict[str, Latent]) -> dict[str, str]:
    return {**({} if alignment == "none" else {ALIGNMENT: alignment}), **others}


def _class_name(program: Any) -> str:
    return (program if isinstance(program, type) else type(program)).__name__
