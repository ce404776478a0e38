"""Resolve and check the model, guide and objective of a configuration, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

from pyro_align.config import AUTO, Component, Config
from pyro_align.config.registry import (
    GUIDES,
    MODELS,
    OBJECTIVES,
    TASKS,
    Registry,
    choose,
    fits,
    go_together,
)
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.inference.kinds import Latent, other_sites

KINDS = {"model": MODELS, "guide": GUIDES, "objective": OBJECTIVES}

RATES = ("network.dropout", "network.word_dropout")
"""Network settings that can change on a trained run."""


def chosen(config: Config) -> Config:
    """Replace ``auto`` by the names of a compatible guide and objective.

    Raises:
        IncompatibleError: if the named components cannot be combined.
        ConfigError: for unknown names, and for a class without a valid ``latents`` attribute.
    """
    for registry, component in ((MODELS, config.model), (GUIDES, config.guide)):
        if component.name not in (AUTO, *registry.builtin):
            _check_latents(registry, component.name)
    guide, objective = choose(config.model.name, _given(config.guide), _given(config.objective))
    return config.model_copy(
        update={
            "guide": config.guide.model_copy(update={"name": guide}),
            "objective": config.objective.model_copy(update={"name": objective}),
        }
    )


def _check_latents(registry: Registry, name: str) -> None:
    cls = registry.get(name)
    known = get_args(Latent)
    found = getattr(cls, "latents", None)
    if not isinstance(found, Mapping) or not set(found.values()) <= set(known):
        says = "has no class attribute latents" if found is None else f"has latents = {found!r}"
        raise ConfigError(
            f"{registry.kind} {name!r}: the class {cls.__name__} {says}: set it to the kinds of "
            f"its latent sites by name, such as {{'alignment': 'categorical'}}, or {{}} if it has "
            f"none; the kinds are {', '.join(map(repr, known))}"
        )


def reject_ineffective_settings(config: Config, start: Config | None = None) -> None:
    """Raise an error if a setting would have no effect in combination with the others.

    Parameters of an option that is not used, such as ``training.kl_steps`` without a schedule, are
    allowed.

    Args:
        config: configuration with guide and objective :func:`chosen`.
        start: configuration of the run to start from, if any.

    Raises:
        ConfigError: naming the setting, why it has no effect, and what to set instead.
    """
    reason = next(_ineffective(config, start), None)
    if reason is not None:
        raise ConfigError(reason)


def _ineffective(config: Config, start: Config | None) -> Iterator[str]:
    """Yield a message for every setting without effect."""
    training = config.training
    model, guide, objective = (kind.get(getattr(config, name).name) for name, kind in KINDS.items())
    task = TASKS.get(config.task)
    if config.model.name in MODELS.builtin and not issubclass(model, task.models):
        names = (name for name in MODELS.builtin if issubclass(MODELS.get(name), task.models))
        yield (
            f"model {config.model.name!r} does not fit the task {config.task!r}: use "
            f"{', '.join(names)}, or another task"
        )
    is_prior = issubclass(guide, GUIDES.get("prior"))
    if training.kl_schedule != "constant":
        setting = f"training.kl_schedule = {training.kl_schedule!r} has no effect"
        others = objective.weighs_other_sites and other_sites(getattr(model, "latents", {}))
        if not (objective.weighs_kl or others):
            kinds = {name: OBJECTIVES.get(name) for name in OBJECTIVES}
            weighing = [
                name for name, kind in kinds.items() if kind.weighs_kl and fits(model, guide, kind)
            ]
            others = f", or use one that does: {', '.join(weighing)}" if weighing else ""
            yield (
                f"{setting} with objective {config.objective.name!r}, which does not weight a KL "
                f"divergence: set training.kl_schedule = 'constant'{others}"
            )
        elif is_prior:
            yield f"{setting} {_OF_THE_PRIOR}: set training.kl_schedule = 'constant'"
    if training.lagging:
        why = None
        if not other_sites(getattr(guide, "latents", {})):
            why = "without a latent variable of the sentence in the guide"
        elif training.freeze_model:
            why = "on a frozen model"
        if why is not None:
            yield f"training.lagging has no effect {why}: set training.lagging = false"
        if training.devices > 1:
            yield "training.lagging needs a single training process: set training.devices = 1"
    if is_prior and config.objective.options.get("free_bits", 0) != 0:
        yield f"objective.free_bits has no effect {_OF_THE_PRIOR}: set objective.free_bits = 0"
    if not other_sites(getattr(model, "latents", {})):
        for name in ("free_bits", "free_bits_per_dimension"):
            if config.objective.options.get(name, 0) != 0 and issubclass(
                objective, OBJECTIVES.get("exact")
            ):
                yield (
                    f"objective.{name} has no effect with objective {config.objective.name!r} and "
                    f"model {config.model.name!r}, which has no latent variable of the sentence: "
                    f"remove the setting"
                )
    if issubclass(guide, GUIDES.get("exact")) and "baseline" in config.objective.options:
        yield (
            "objective.baseline has no effect with guide 'exact', which has no parameters and so "
            "no score-function gradient: remove the setting, or use another guide"
        )
    of_bound = "alignment" in getattr(guide, "latents", {}) or issubclass(
        objective, OBJECTIVES.get("top-k")
    )
    links = getattr(getattr(config, "data", None), "links", None)
    if links and training.link_weight == 1 and of_bound:
        yield (
            f"training.link_weight = 1 excludes all alignments but the links, which guide "
            f"{config.guide.name!r} and objective {config.objective.name!r} cannot do: set "
            f"training.link_weight below 1, such as 0.9, or use objective 'exact' with guide 'none'"
        )
    if training.warmup_steps and training.schedule == "plateau":
        yield (
            "training.warmup_steps has no effect with training.schedule = 'plateau', which starts "
            "at the full learning rate: set training.schedule = 'constant', "
            "'inverse-square-root' or 'cosine', or training.warmup_steps = 0"
        )
    yield from task.ineffective(config, start)


_OF_THE_PRIOR = "with a guide that equals the prior, since its KL divergence from the prior is zero"


def reconciled(config: Config, named: set[str]) -> Config:
    """Reset guide or objective to ``auto`` if they are not compatible with the components named.

    This allows ``--objective exact`` with a recipe or run that names a guide.

    Args:
        config: the configuration with all changes applied.
        named: the tables that were changed, such as ``guide``.
    """
    given = {kind: getattr(config, kind).name for kind in KINDS}
    if not named & given.keys() or AUTO in given.values():
        return config
    if go_together(**given):
        return config
    for loose in ({"objective"}, {"guide"}, {"guide", "objective"}):
        if loose & named:
            continue
        kept = (None if kind in loose else given[kind] for kind in ("guide", "objective"))
        try:
            choose(given["model"], *kept)
        except IncompatibleError:
            continue
        return config.model_copy(update={kind: Component(name=AUTO) for kind in loose})
    return config  # creating the run raises an error with the reason


def _given(component: Component) -> str | None:
    return None if component.name == AUTO else component.name
