"""The configuration of a fit: TOML, ``key=value`` settings and flags, validated before it starts.

Every table is a pydantic model that rejects unknown keys; options of a model, guide or objective
are checked against its constructor when it is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pyro_align.config.reading import parse_setting, read_toml
from pyro_align.config.registry import configuration_class
from pyro_align.config.training import TrainingConfig
from pyro_align.constraints import Seed, Table
from pyro_align.errors import ConfigError, nearest
from pyro_align.files import atomic_write

AUTO = "auto"
"""Name of a guide or objective that is chosen to match the other components."""


class Component(BaseModel):
    """A model, guide or objective: its name and its constructor options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """All fields except the name."""
        return dict(self.model_extra or {})


TRANSLATION = "translation"
"""Name of the default task."""


class Config(Table):
    """The configuration of a fit, without the tables of its task.

    Each task has a subclass with its own tables, in general ``data`` and ``network``, such as
    :class:`~pyro_align.config.translation.TranslationConfig`; see :meth:`of`.
    """

    seed: Seed = Field(1, description="seed of weights, samples and batches")
    task: str = Field(TRANSLATION, description="kind of problem to fit")
    model: Component = Component(name="categorical")
    guide: Component = Component(name=AUTO)
    objective: Component = Component(name=AUTO)
    training: TrainingConfig = TrainingConfig()

    @staticmethod
    def of(task: Any) -> type[Config]:
        """Return the class of the configurations of a task.

        Args:
            task: name of the task, or ``file.py:Class``, whose code is then executed.

        Raises:
            ConfigError: if there is no such task.
        """
        if not isinstance(task, str):
            raise ConfigError(f"task: expected the name of a task, got {task!r}")
        return configuration_class(task)

    @classmethod
    def load(
        cls, path: Path | None = None, settings: Iterable[str | tuple[str, Any]] = ()
    ) -> Config:
        """Read a TOML file and apply ``key=value`` settings to it.

        Args:
            path: the file; None for the defaults.
            settings: strings such as ``training.epochs=5``, whose value is parsed as TOML, or taken
                as a string if it is not valid TOML; or pairs of key and value.

        Raises:
            ConfigError: for an invalid value or unknown key; the message names file and key.
        """
        written = {} if path is None else read_toml(path)
        pairs = [parse_setting(each) if isinstance(each, str) else each for each in settings]
        task = dict(pairs).get("task", written.get("task", TRANSLATION))
        values = {**_plain(cls.of(task)()), "task": task}
        for key, value in written.items():
            # A table is merged with the defaults; a component is replaced with all its options.
            merge = isinstance(value, dict) and "name" not in value
            values[key] = {**values.get(key, {}), **value} if merge else value
        for key, value in pairs:
            _put(values, key, value)
        file = "the configuration" if path is None else str(path)
        return cls.checked(values, file, [key for key, _ in pairs])

    def changed(self, changes: Mapping[str, Any]) -> Config:
        """Return a copy of the configuration with some values changed.

        Args:
            changes: new values by key, such as ``training.epochs``. A new name of a model, guide
                or objective clears the options of the previous one.

        Raises:
            ConfigError: for an invalid value or unknown key.
        """
        values = _plain(self)
        for key, value in changes.items():
            _put(values, key, value)
        return self.checked(values, "the configuration")

    @classmethod
    def checked(
        cls, values: Mapping[str, Any], origin: str, settings: Sequence[str] = ()
    ) -> Config:
        """Validate plain values.

        Args:
            values: tables of values.
            origin: where the values come from, for error messages.
            settings: keys of values that come from the command line instead.

        Raises:
            ConfigError: for an invalid value or unknown key.
        """
        chosen = cls.of(values.get("task", TRANSLATION))
        try:
            return chosen.model_validate(values)
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            if settings and not place:  # a constraint across several tables
                origin = "the configuration"
            elif any(_is_within(place, key) or _is_within(key, place) for key in settings):
                origin = "settings"
            raise ConfigError(f"{origin}: {_explained(chosen, error)}") from None

    def save(self, path: Path) -> None:
        """Write the configuration to a TOML file.

        Raises:
            OutputError: if the file cannot be written.
        """
        with atomic_write(path, "t") as file:
            file.write(self.to_toml())

    def to_toml(self) -> str:
        """Return the configuration as TOML, including defaults."""
        return tomli_w.dumps(_plain(self))


def _plain(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude_none=True)


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{key}: {table!r} is a value, not a table")
    if last == "name" and values.get("name") != value:
        values.clear()  # the options belong to the previous component
    values[last] = value


def _is_within(key: str, other: str) -> bool:
    return f"{key}.".startswith(f"{other}.")


def _explained(cls: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _fields_at(cls, first["loc"][:-1])
        return f"unknown key {place!r}; {nearest(str(first['loc'][-1]), known)}"
    given = "" if isinstance(first["input"], Mapping) else f", got {first['input']!r}"
    reason = first["msg"].removeprefix("Value error, ")
    return f"{place}: {reason}{given}" if place else reason


def _fields_at(cls: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        annotation = cls.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        cls = annotation
    return list(cls.model_fields)
