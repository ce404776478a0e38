"""Registries of models, guides and objectives by name.

A name is built in, provided by an installed package through the entry-point groups
``pyro_align.models`` and ``pyro_align.guides``, or a location: ``path/to/file.py:Class``.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from pyro_align.config import outline
from pyro_align.errors import ConfigError, IncompatibleError, nearest
from pyro_align.inference import kinds


@cache
def _provided(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Entry points of installed packages; cached, as each search reads the metadata of all."""
    return tuple(entry_points(group=group))


class Registry:
    """Classes by name, imported on first use.

    Args:
        kind: kind of the classes, for messages.
        base: ``module:Class`` that every class must be a subclass of.
        builtin: ``module:Class`` by name.
        group: entry-point group of names from other packages, or None.
    """

    def __init__(self, kind: str, base: str, builtin: Mapping[str, str], group: str | None = None):
        self.kind = kind
        self.base = base
        self.builtin = dict(builtin)
        self.group = group

    def places(self) -> dict[str, str]:
        """Return ``module:Class`` of every known name.

        Raises:
            ConfigError: if two packages provide the same name.
        """
        places = dict(self.builtin)
        for point in _provided(self.group, tuple(sys.path)) if self.group else ():
            if point.name in places:
                raise ConfigError(
                    f"{self.kind} {point.name!r} is provided twice: {places[point.name]} and "
                    f"{point.value}; uninstall one of the two packages"
                )
            places[point.name] = point.value
        return places

    def __iter__(self) -> Iterator[str]:
        return iter(self.places())

    def get(self, name: str) -> type[Any]:
        """Return the class of a name or ``file.py:Class``.

        Raises:
            ConfigError: for an unknown name (the message suggests the closest one), a missing file,
                a file without the class, or a class of another kind.
        """
        places = self.places()
        path, _, attribute = name.rpartition(":")
        if name in places:
            found = _imported(places[name])
        elif path.endswith(".py"):
            found = _attribute(_load_file(Path(path).expanduser()), attribute, name)
        else:
            raise ConfigError(
                f"no {self.kind} {name!r}; {nearest(name, places)}; or your own class as "
                f"path/to/file.py:Class"
            )
        if not issubclass(found, _imported(self.base)) or inspect.isabstract(found):
            article = "an" if self.kind[0] in "aeiou" else "a"
            raise ConfigError(
                f"{name}: {found.__name__} is not {article} {self.kind}: expected a class that "
                f"derives from {self.base.replace(':', '.')} and implements its abstract methods"
            )
        return found

    def summary(self, name: str) -> str:
        """Return a one-line description of a known name; a built-in class is not imported."""
        place = self.places()[name]
        if (found := outline.summary(place)) is not None:
            return found
        cls = _imported(place)
        text = sys.modules[cls.__module__].__doc__ or cls.__doc__ or ""
        return text.strip().partition("\n")[0]

    def attribute(self, name: str, attribute: str) -> Any:
        """Return an attribute of the class of a name or ``file.py:Class``; None if it is missing.

        A built-in class is not imported if its source gives the value as a literal.

        Raises:
            ConfigError: as for :meth:`get`.
        """
        place = self.builtin.get(name)
        found = None if place is None else outline.attribute(place, attribute)
        return getattr(self.get(name), attribute, None) if found is None else found

    def check(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Validate keyword options against the constructor's signature.

        Raises:
            ConfigError: for an unknown option (the message suggests the closest one), or a value
                that does not match the annotation.
        """
        return _checked(self.get(name), name, self.kind, options)

    def build(self, name: str, options: Mapping[str, Any], *arguments: Any) -> Any:
        """Create an instance, validating keyword options against the constructor's signature.

        Raises:
            ConfigError: for an unknown option (the message suggests the closest one), a value that
                does not match the annotation, or a constructor with other arguments.
        """
        cls = self.get(name)
        checked = self.check(name, options)
        try:
            inspect.signature(cls).bind(*arguments, **checked)
        except TypeError as error:
            raise ConfigError(
                f"{self.kind} {name!r} cannot be built ({error}): its constructor must accept "
                f"{len(arguments)} positional arguments, and options by keyword"
            ) from None
        return cls(*arguments, **checked)


MODELS = Registry(
    "model",
    "torch.nn:Module",
    {
        "soft": "pyro_align.models.soft:SoftModel",
        "categorical": "pyro_align.models.categorical:CategoricalModel",
        "markov": "pyro_align.models.markov:MarkovModel",
        "dirichlet": "pyro_align.models.dirichlet:DirichletModel",
        "variational": "pyro_align.models.variational:VariationalModel",
        "variational-soft": "pyro_align.models.variational_soft:VariationalSoftModel",
        "language-model": "pyro_align.models.language_model:LanguageModel",
        "sentence-vae": "pyro_align.models.sentence_vae:SentenceVAE",
        "spherical-vae": "pyro_align.models.spherical_vae:SphericalVAE",
    },
    group="pyro_align.models",
)
"""Models by name."""

GUIDES = Registry(
    "guide",
    "torch.nn:Module",
    {
        "corrected-prior": "pyro_align.guides.corrected_prior:CorrectedPriorGuide",
        "amortized": "pyro_align.guides.amortized:AmortizedGuide",
        "gaussian": "pyro_align.guides.gaussian:GaussianGuide",
        "whitened": "pyro_align.guides.whitened:WhitenedGuide",
        "von-mises-fisher": "pyro_align.guides.von_mises_fisher:VonMisesFisherGuide",
        "none": "pyro_align.guides.none:NoGuide",
        "prior": "pyro_align.guides.prior:PriorGuide",
        "amortized-dirichlet": "pyro_align.guides.amortized_dirichlet:AmortizedDirichletGuide",
        "gumbel": "pyro_align.guides.gumbel:GumbelGuide",
        "exact": "pyro_align.guides.exact:ExactGuide",
        "transformer": "pyro_align.guides.transformer:TransformerGuide",
        "posterior-mixture": "pyro_align.guides.posterior_mixture:PosteriorMixtureGuide",
        "markov": "pyro_align.guides.markov:MarkovGuide",
    },
    group="pyro_align.guides",
)
"""Guides by name."""

OBJECTIVES = Registry(
    "objective",
    "pyro_align.inference:Objective",
    {
        "exact": "pyro_align.inference.exact:ExactMarginal",
        "enumerated": "pyro_align.inference.enumerated:EnumeratedELBO",
        "top-k": "pyro_align.inference.top_k:TopKMarginal",
        "elbo": "pyro_align.inference.sentence_elbo:SentenceELBO",
        "likelihood": "pyro_align.inference.likelihood:Likelihood",
        "score-function": "pyro_align.inference.score_function:ScoreFunctionELBO",
        "rws": "pyro_align.inference.reweighted_wake_sleep:ReweightedWakeSleep",
        "importance-weighted": "pyro_align.inference.importance_weighted:ImportanceWeightedBound",
        "vimco": "pyro_align.inference.vimco:VIMCO",
        "iwae": "pyro_align.inference.sentence_bound:SentenceImportanceBound",
        "wake-sleep": "pyro_align.inference.wake_sleep:WakeSleep",
        "mcem": "pyro_align.inference.monte_carlo_em:MonteCarloEM",
        "relaxed": "pyro_align.inference.dirichlet:RelaxedELBO",
        "gumbel-softmax": "pyro_align.inference.gumbel_softmax:GumbelSoftmaxELBO",
    },
)
"""Objectives by name."""


TASKS = Registry(
    "task",
    "pyro_align.tasks:Task",
    {
        "translation": "pyro_align.tasks.translation:Translation",
        "transduction": "pyro_align.tasks.transduction:Transduction",
        "sentences": "pyro_align.tasks.sentences:Sentences",
        "vqa": "pyro_align.tasks.vqa:VisualQuestionAnswering",
    },
    group="pyro_align.tasks",
)
"""Tasks by name."""


def choose(model: str, guide: str | None, objective: str | None) -> tuple[str, str]:
    """Choose a guide and objective that are compatible with a model and with each other.

    Args:
        model: name of the model.
        guide: name of the guide, or None for the first compatible one.
        objective: name of the objective, or None for the first compatible one.

    Raises:
        IncompatibleError: if the given names cannot be combined.
        ConfigError: for unknown names.
    """
    for guide_name in [guide] if guide else GUIDES:
        for objective_name in [objective] if objective else OBJECTIVES:
            if go_together(model, guide_name, objective_name):
                return guide_name, objective_name
    if guide and objective:
        OBJECTIVES.get(objective).check(MODELS.get(model), GUIDES.get(guide))
        return guide, objective
    named = {"model": model, "guide": guide, "objective": objective}
    given = " and ".join(f"{kind} {name!r}" for kind, name in named.items() if name)
    raise IncompatibleError(
        f"no compatible choice is known for {given}: name both guide and objective; `pyro-align "
        f"list` shows the compatible combinations"
    )


def go_together(model: str, guide: str, objective: str) -> bool:
    """Whether a model, guide and objective, given by name, are compatible.

    Raises:
        ConfigError: for unknown names.
    """
    latents = MODELS.attribute(model, "latents"), GUIDES.attribute(guide, "latents")
    pairs, others = (OBJECTIVES.attribute(objective, name) for name in ("pairs", "other_sites"))
    return kinds.go_together(*latents, pairs, others)


def fits(model: type[Any], guide: type[Any], objective: type[Any]) -> bool:
    """Whether a model, guide and objective class are compatible."""
    latents = getattr(model, "latents", None), getattr(guide, "latents", None)
    return kinds.go_together(*latents, objective.pairs, objective.other_sites)


def configuration_class(task: str) -> type[Any]:
    """Return the class of the configurations of a task, without importing a built-in task.

    Raises:
        ConfigError: if there is no such task.
    """
    found = TASKS.attribute(task, "configuration")
    return _imported(found) if isinstance(found, str) else found


def _imported(place: str) -> type[Any]:
    module, _, attribute = place.partition(":")
    return _attribute(importlib.import_module(module), attribute, place)


def _attribute(module: Any, attribute: str, place: str) -> type[Any]:
    found = getattr(module, attribute, None)
    if not isinstance(found, type):
        classes = (name for name, value in vars(module).items() if isinstance(value, type))
        raise ConfigError(f"{place}: no class {attribute!r} there; {nearest(attribute, classes)}")
    return found


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give your own class as file.py:Class")
    path = path.resolve()
    # Load each file once, so that its classes keep their identity.
    name = f"pyro_align_file_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    return module


def options_schema(cls: type[Any]) -> type[BaseModel]:
    """Schema of the options of a class: the keyword-only arguments of its constructor."""
    fields: dict[str, Any] = {
        parameter.name: (
            Any if parameter.annotation is inspect.Parameter.empty else parameter.annotation,
            ... if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for parameter in inspect.signature(cls, eval_str=True).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    return create_model(
        f"{cls.__name__}Options", __config__=ConfigDict(arbitrary_types_allowed=True), **fields
    )


def _checked(cls: type[Any], name: str, kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    schema = options_schema(cls)
    for option in options:
        if option not in schema.model_fields:
            raise ConfigError(
                f"{kind} {name!r} has no option {option!r}; {nearest(option, schema.model_fields)}"
            )
    try:
        checked = schema(**options)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{kind} {name!r}, option {first['loc'][0]!r}: {first['msg']}, got {first['input']!r}"
        ) from None
    return {option: getattr(checked, option) for option in options}
