"""All settings of a fit, with defaults, valid values and descriptions, collected from the code.

The tables of the configuration are pydantic models. Options of models, guides and objectives are
keyword arguments of their constructors, described in the ``Args`` section of their docstrings.
"""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pyro_align.config import Component, Config
from pyro_align.config.config import TRANSLATION
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, TASKS, options_schema
from pyro_align.errors import ConfigError, nearest

REGISTRIES = {"task": TASKS, "model": MODELS, "guide": GUIDES, "objective": OBJECTIVES}
"""Registries by setting: the name of the task, or the tables of the components."""


@dataclass(frozen=True)
class Setting:
    """A setting of a fit.

    Attributes:
        key: key for ``--set`` and TOML, such as ``training.epochs``.
        default: default value as TOML; empty if the setting has none.
        values: description of the valid values.
        description: what the setting controls.
        owners: models, guides or objectives that have the setting; empty if every fit has it.
    """

    key: str
    default: str
    values: str
    description: str
    owners: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """The configuration table of the setting; empty for the top level."""
        return self.key.rpartition(".")[0]

    @property
    def text(self) -> str:
        """Owners, description and values, as one sentence."""
        owners = f"{', '.join(self.owners)}: " if self.owners else ""
        return f"{owners}{self.description} ({self.values})"


def settings(options: str | None = "", *, task: str = TRANSLATION) -> list[Setting]:
    """Return all settings of a task; the tables of the task come first.

    Args:
        options: table whose component options are included: ``model``, ``guide`` or ``objective``;
            empty for all three, None for none. Their classes are imported, and torch with them.
        task: name of the task.

    Raises:
        ConfigError: if there is no such task.
    """
    found: list[Setting] = []
    for setting in _of_model(Config.of(task)):
        found.append(
            replace(setting, default=json.dumps(task)) if setting.key == "task" else setting
        )
        if setting.table in REGISTRIES and options in ("", setting.table):
            found += _of_components(setting.table)
    return found


def matching(key: str, *, task: str = TRANSLATION) -> list[Setting]:
    """Return the settings that match a key.

    Args:
        key: key of a setting, or name of a table, such as ``training``.
        task: name of the task.

    Raises:
        ConfigError: if there is no such setting or table; the message suggests the closest one.
    """
    found = settings(options=key.partition(".")[0], task=task)
    chosen = [each for each in found if key in (each.key, each.table)]
    if not chosen:
        known = dict.fromkeys(name for each in found for name in (each.key, each.table) if name)
        raise ConfigError(f"no setting or table {key!r}; {nearest(key, known)}")
    return chosen


def _of_model(schema: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    shared = Config.model_fields if issubclass(schema, Config) else {}
    first = [name for name in schema.model_fields if name in ("seed", "task")]
    own = [name for name in schema.model_fields if name not in shared]
    for name in dict.fromkeys([*first, *own, *schema.model_fields]):
        field = schema.model_fields[name]
        key = f"{prefix}{name}"
        annotation = field.annotation
        if annotation is Component:
            yield _of_name(name, field.default)
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _of_model(annotation, f"{key}.")
        else:
            yield _of_field(key, field)


def _of_name(kind: str, default: Component) -> Setting:
    """Setting for the name of a model, guide or objective."""
    registry = REGISTRIES[kind]
    names = ", ".join(registry)
    automatic = "; auto: the first that is compatible" if default.name == "auto" else ""
    return Setting(
        f"{kind}.name",
        json.dumps(default.name),
        f"{names}, or path/to/file.py:Class",
        f"{kind} to fit{automatic}" if kind == "model" else f"{kind} to use{automatic}",
    )


def _of_field(key: str, field: FieldInfo) -> Setting:
    has_default = not field.is_required() and field.default is not None
    default = json.dumps(field.default, ensure_ascii=False, default=str) if has_default else ""
    return Setting(key, default, _values(field.annotation, field.metadata), field.description or "")


def _of_components(kind: str) -> list[Setting]:
    """Options of all classes of a kind; an option shared by several classes is listed once."""
    found: dict[Setting, tuple[str, ...]] = {}
    registry = REGISTRIES[kind]
    for name in registry:
        cls = registry.get(name)
        descriptions = described(cls)
        for option, field in options_schema(cls).model_fields.items():
            setting = _of_field(f"{kind}.{option}", field)
            setting = replace(setting, description=descriptions.get(option, ""))
            found[setting] = (*found.get(setting, ()), name)
    return [replace(setting, owners=owners) for setting, owners in found.items()]


def described(cls: type[Any]) -> Mapping[str, str]:
    """Return descriptions of constructor arguments from the docstrings of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        text = inspect.cleandoc(base.__doc__ or "")
        section = re.search(r"^Args:\n((?: .*\n?|\n)+)", text, re.MULTILINE)
        if section is not None:
            for name, words in re.findall(
                r"^    (\w+): (.*(?:\n {5,}.*)*)", section[1], re.MULTILINE
            ):
                found[name] = _plain(words)
    return found


def _plain(words: str) -> str:
    """A description as a single line, without Sphinx roles and the final full stop."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"\1", " ".join(words.split()))
    return text.replace("``", "").removesuffix(".")


def _values(annotation: Any, metadata: Any = ()) -> str:
    """Description of the values that a field accepts."""
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return " or ".join(_values(part, metadata) for part in parts)
    if hasattr(annotation, "__metadata__"):
        return _values(annotation.__origin__, (*annotation.__metadata__, *metadata))
    if get_origin(annotation) is Literal:
        return ", ".join(json.dumps(value) for value in get_args(annotation))
    if get_origin(annotation) is list:
        return f"list of {_values(get_args(annotation)[0])}s"
    names = {bool: "true, false", int: "integer", float: "number", str: "text", Path: "path"}
    limits = [text for each in metadata for text in _limits(each)]
    return " ".join([names.get(annotation, "value"), *([", ".join(limits)] if limits else [])])


def _limits(constraint: Any) -> Iterator[str]:
    """Bounds given by a constraint of a field, which may be a field itself."""
    for each in (*getattr(constraint, "metadata", ()), constraint):
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
            if (bound := getattr(each, name, None)) is not None:
                yield f"{sign} {bound:g}" if abs(bound) < 1e7 else f"{sign} {bound}"
