"""Model, guide and objective of a configuration: what is chosen, refused, and a user's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pyro_align.config import AUTO, Component, Config
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.registry import GUIDES, MODELS, OBJECTIVES, Registry, choose, fits, go_together
from pyro_align.trust import trust

KINDS = {"model": MODELS, "guide": GUIDES, "objective": OBJECTIVES}

RATES = ("network.dropout", "network.word_dropout")
"""What can be set of the networks when their weights are there: it has none of its own."""


def chosen(config: Config) -> Config:
    """The configuration with a guide and an objective named where it leaves them open.

    Raises:
        IncompatibleError: if what it names does not go together.
        ConfigError: for unknown names, and for a class that does not say what its latent variable
            is.
    """
    for registry, component in ((MODELS, config.model), (GUIDES, config.guide)):
        if component.name not in (AUTO, *registry.builtin):
            _check_latent(registry, component.name)
    guide, objective = choose(config.model.name, _given(config.guide), _given(config.objective))
    return config.model_copy(
        update={
            "guide": config.guide.model_copy(update={"name": guide}),
            "objective": config.objective.model_copy(update={"name": objective}),
        }
    )


def _check_latent(registry: Registry, name: str) -> None:
    from pyro_align.inference.program import Latent

    cls = registry.get(name)
    known = get_args(Latent)
    if (found := getattr(cls, "latent", None)) not in known:
        says = "has no class attribute latent" if found is None else f"has latent = {found!r}"
        raise ConfigError(
            f"{registry.kind} {name!r}: the class {cls.__name__} {says}: set it to what the site "
            f"'alignment' is, {', '.join(map(repr, known))}"
        )


def reject_ineffective_settings(config: Config, start: Config | None = None) -> None:
    """Refuse a setting that asks for something and would do nothing beside the others.

    Sizes of what was not chosen, such as ``training.kl_steps`` of no schedule, ask for nothing.

    Args:
        config: guide and objective :func:`chosen`.
        start: that of the run it starts from, whose weights are there already.

    Raises:
        ConfigError: naming the setting, why it does nothing, and what to set instead.
    """
    reason = next(_idle(config, start), None)
    if reason is not None:
        raise ConfigError(reason)


def _idle(config: Config, start: Config | None) -> Iterator[str]:
    """Every reason to refuse it."""
    data, vocabulary, training = config.data, config.vocabulary, config.training
    model, guide, objective = (kind.get(getattr(config, name).name) for name, kind in KINDS.items())
    is_prior = issubclass(guide, GUIDES.get("prior"))
    if training.kl_schedule != "constant":
        setting = f"training.kl_schedule = {training.kl_schedule!r} has no effect"
        if not objective.weighs_kl:
            kinds = {name: OBJECTIVES.get(name) for name in OBJECTIVES}
            weighing = [
                name for name, kind in kinds.items() if kind.weighs_kl and fits(model, guide, kind)
            ]
            others = f", or take one in which one is: {', '.join(weighing)}" if weighing else ""
            yield (
                f"{setting} on objective {config.objective.name!r}, in which no KL divergence is "
                f"weighed: set training.kl_schedule = 'constant'{others}"
            )
        elif is_prior:
            yield f"{setting} {_OF_THE_PRIOR}: set training.kl_schedule = 'constant'"
    if is_prior and config.objective.options.get("free_bits", 0) != 0:
        yield f"objective.free_bits has no effect {_OF_THE_PRIOR}: set objective.free_bits = 0"
    if issubclass(guide, GUIDES.get("exact")) and "baseline" in config.objective.options:
        yield (
            "objective.baseline has no effect with guide 'exact', which has no parameters for a "
            "score function to reach: leave it out, or take another guide"
        )
    if training.warmup_steps and training.schedule == "plateau":
        yield (
            "training.warmup_steps has no effect with training.schedule = 'plateau', which begins "
            "with the whole learning rate: set training.schedule = 'constant' or "
            "'inverse-square-root', or training.warmup_steps = 0"
        )
    if data.train is None:
        for name in ("test", "gold"):
            if getattr(data, name) is not None:
                yield (
                    f"data.{name} has no effect on a fit of the built-in corpus, which has test "
                    f"text and links of its own: give --train and --valid too, or leave it out and "
                    f"use `pyro-align evaluate` afterwards"
                )
    if start is None and vocabulary.joint and vocabulary.source != vocabulary.target:
        yield (
            "vocabulary.joint has no effect where two vocabularies are given: give one file as "
            "both vocabulary.source and vocabulary.target, or set vocabulary.joint = false"
        )
    if training.freeze_model and start is not None:
        rate = config.network.word_dropout
        if rate not in (0, start.network.word_dropout):
            yield (
                "network.word_dropout has no effect on a frozen model, whose decoder reads every "
                "word: leave it out, or train the model too"
            )


_OF_THE_PRIOR = "with a guide that is the prior, whose divergence from it is zero"


def reconciled(config: Config, named: set[str]) -> Config:
    """The configuration; guide and objective it comes with give way to what is named beside it.

    So ``--objective exact`` works with a recipe, or from a run, that has a guide.

    Args:
        config: the configuration, changes made.
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
    return config  # refused with a reason when the run is made


def derived(config: Config, folder: Path, changes: Mapping[str, Any]) -> Config:
    """The configuration of a run that starts from another one's weights.

    Args:
        config: that of the run it starts from.
        folder: where that run lies.
        changes: values by key, such as ``guide.name`` and ``training.epochs``.

    Raises:
        ConfigError: for a key that the weights or vocabularies decide, or an unknown one.
        IncompatibleError: if what is named does not go together.
    """
    for key in changes:
        table = key.partition(".")[0]
        if table in ("model", "network", "vocabulary") and key not in RATES:
            raise ConfigError(
                f"{key} cannot be changed from {folder} on: the weights and vocabularies of that "
                f"run are kept, and they fit what it was made with; start a new run to change it"
            )
    found = with_own_code(config, folder).changed({"training.freeze_model": False, **changes})
    old, new = config.data, found.data
    if "data.gold" not in changes and (new.test or new.valid) != (old.test or old.valid):
        # Links of the text that was.
        found = found.model_copy(update={"data": new.model_copy(update={"gold": None})})
    return chosen(reconciled(found, {key.partition(".")[0] for key in changes}))


def keep_own_code(config: Config, folder: Path) -> Config:
    """Copy ``file.py`` of every ``file.py:Class`` into the run, which needs it wherever it goes.

    Raises:
        ConfigError: if two different files have one name.
    """
    kept = {}
    for kind in KINDS:
        component = getattr(config, kind)
        place, _, class_name = component.name.rpartition(":")
        if place.endswith(".py"):
            file = Path(place).expanduser()
            kept_file = folder / "code" / file.name
            kept_file.parent.mkdir(exist_ok=True)
            if kept_file.exists() and kept_file.read_bytes() != file.read_bytes():
                raise ConfigError(f"{file}: another file is called {file.name} too; rename one")
            shutil.copyfile(file, kept_file)
            trust(kept_file)
            name = f"code/{file.name}:{class_name}"
            kept[kind] = component.model_copy(update={"name": name})
    return config.model_copy(update=kept)


def located(component: Component, folder: Path) -> Component:
    """The component, code that a run keeps named from that run's folder."""
    if not component.name.startswith("code/"):
        return component
    return component.model_copy(update={"name": str(folder / component.name)})


def with_own_code(config: Config, folder: Path) -> Config:
    """A run's configuration for use elsewhere: all of it as :func:`located`."""
    return config.model_copy(
        update={kind: located(getattr(config, kind), folder) for kind in KINDS}
    )


def is_same_class(one: Component, other: Component) -> bool:
    """Whether two located components are one class; copies of one file have the same."""
    return _identity(one.name) == _identity(other.name)


def _identity(name: str) -> Any:
    place, _, class_name = name.rpartition(":")
    return (Path(place).expanduser().read_bytes(), class_name) if place.endswith(".py") else name


def _given(component: Component) -> str | None:
    return None if component.name == AUTO else component.name
