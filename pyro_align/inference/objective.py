"""What an objective of this package is: a Pyro ELBO over one latent site, ``alignment``."""

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
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.program import Latent
from pyro_align.inference.sharing import shared_arguments
from pyro_align.inference.traces import ALIGNMENT, latent_sites, program_name, traces


@dataclass(frozen=True)
class Terms:
    """One evaluation of an objective on a batch, summed over its target positions.

    Attributes:
        loss: what to differentiate. Its value is the negative (KL-weighted) bound, its gradient
            the objective's estimate of that bound's gradient.
        log_likelihood: expected log probability of the tokens; no gradient.
        kl: divergence of the guide from the prior, not weighted; no gradient. Zero where there is
            nothing to infer.
    """

    loss: Float[Tensor, ""]
    log_likelihood: Float[Tensor, ""]
    kl: Float[Tensor, ""]


class Objective(ELBO, ABC):
    """A Pyro ELBO: ``SVI(model, guide, optim, objective)`` and ``objective(model, guide)`` work.

    A subclass says which latent variables it takes in :attr:`pairs` and computes :meth:`_terms`
    from :meth:`_traces`; Pyro's three loss functions follow from it and so agree. It may derive
    from a stock ELBO as well, for that one's traces.

    Args:
        samples: alignments drawn for every target position, all in one pair of traces.

    Attributes:
        kl_weight: weight of the KL divergence, 1 for the evidence lower bound itself. Training
            may move it (KL annealing).
        step: optimiser step, from 0 on, which training sets before each; what changes in the
            course of training is a function of it. None outside of training: the objective is
            then the bound itself.
    """

    pairs: ClassVar[frozenset[tuple[Latent, Latent]]]
    """The (model's, guide's) kinds of latent variable it accepts."""

    weighs_kl: ClassVar[bool] = True
    """Whether there is a KL divergence from the prior in it, for :attr:`kl_weight` to weigh."""

    def __init__(self, *, samples: int = 1):
        super().__init__(
            max_plate_nesting=MAX_PLATE_NESTING,
            num_particles=samples,
            vectorize_particles=samples > 1,
            # Subclasses enumerate for themselves, and say so if there is nothing to enumerate.
            strict_enumeration_warning=False,
        )
        self.kl_weight = 1.0
        self.step: int | None = None

    def terms(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Terms:
        """Loss, log likelihood and KL divergence of a batch, the programs' arguments.

        Raises:
            IncompatibleError: if model and guide do not fit, or have a latent site that the
                objective would ignore.
            ConfigError: for a KL weight other than 1 where there is nothing to weigh.
        """
        self.check(model, guide)
        if self.kl_weight != 1 and not self.weighs_kl:
            raise ConfigError(
                f"{type(self).__name__} has no KL divergence to weigh, and a KL weight of "
                f"{self.kl_weight:g} has no meaning there: set training.kl_schedule = 'constant'"
            )
        return self._terms(model, guide, shared_arguments(args), kwargs)

    def _traces(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Traces of model and guide, whose only latent site is the one that is inferred.

        Raises:
            IncompatibleError: naming a latent site that would be ignored, or one that is missing.
        """
        model_trace, guide_trace = traces(self, model, guide, args, kwargs)
        needed = [(guide, guide_trace, {guide_kind for _, guide_kind in self.pairs})]
        needed.append((model, model_trace, {model_kind for model_kind, _ in self.pairs}))
        for program, trace, kinds in needed:
            if "none" not in kinds and ALIGNMENT not in trace:
                raise IncompatibleError(
                    f"{type(self).__name__} needs the site {ALIGNMENT!r} in {program_name(program)}"
                    f", which has none of that name"
                )
            if kinds == {"none"} and ALIGNMENT in latent_sites(trace):
                raise IncompatibleError(
                    f"{type(self).__name__} takes no latent site, but {program_name(program)} has "
                    f"{ALIGNMENT!r}; `pyro-align list` shows what goes together"
                )
        return model_trace, guide_trace

    @abstractmethod
    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """The terms; what model and guide share is computed once."""

    @classmethod
    def check(cls, model: Any, guide: Any) -> None:
        """Refuse a model and guide, or their classes, that do not fit.

        Programs that do not say what their latent variable is are let through.

        Raises:
            IncompatibleError: naming what would fit.
        """
        pair = (getattr(model, "latent", None), getattr(guide, "latent", None))
        if None in pair or pair in cls.pairs:
            return
        fitting = " or ".join(
            f"a model whose alignment is {model!r} with a guide whose alignment is {guide!r}"
            for model, guide in sorted(cls.pairs)
        )
        raise IncompatibleError(
            f"{cls.__name__} takes {fitting}, but {_class_name(model)}'s alignment is "
            f"{pair[0]!r} and {_class_name(guide)}'s is {pair[1]!r}; "
            f"`pyro-align list` shows what goes together"
        )

    def __call__(self, model: Any, guide: Any) -> Any:
        """An ``ELBOModule`` whose call on a batch is the loss to differentiate.

        Its parameters, and its state, are those of model, guide and objective.
        """
        self.check(model, guide)
        loss = super().__call__(model, guide)
        own = self.module(model)
        if own is not None:
            loss.objective = own
        return loss

    def module(self, model: Any) -> nn.Module | None:
        """What the objective itself learns or keeps, such as a baseline.

        It is trained with model and guide and resumed with them, but it is not part of what they
        publish: nothing that is asked of a trained model needs it.

        Args:
            model: the model it is used with, for sizes; it has one for one model.
        """
        return None

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Negative bound, to differentiate."""
        return self.terms(model, guide, *args, **kwargs).loss

    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Negative bound."""
        with torch.no_grad():
            return self.terms(model, guide, *args, **kwargs).loss.item()

    def loss_and_grads(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Negative bound; its gradient is added to the parameters'."""
        loss = self.terms(model, guide, *args, **kwargs).loss
        torch_backward(loss, retain_graph=self.retain_graph)
        return loss.item()


def _class_name(program: Any) -> str:
    return (program if isinstance(program, type) else type(program)).__name__
