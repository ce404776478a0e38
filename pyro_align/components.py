"""Model, guide and objective of a configuration: what is chosen, and code of a user's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pyro_align.config import AUTO, Component, Config
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.registry import GUIDES, MODELS, OBJECTIVES, choose, fits

KINDS = {"model": MODELS, "guide": GUIDES, "objective": OBJECTIVES}


def chosen(config: Config) -> Config:
    """The configuration with a guide and an objective named where it leaves them open.

    Raises:
        IncompatibleError: if what it names does not go together.
        ConfigError: for unknown names.
    """
    guide, objective = choose(config.model.name, _given(config.guide), _given(config.objective))
    return config.model_copy(
        update={
            "guide": config.guide.model_copy(update={"name": guide}),
            "objective": config.objective.model_copy(update={"name": objective}),
        }
    )


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
    if fits(*(registry.get(given[kind]) for kind, registry in KINDS.items())):
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
