"""Read configurations: TOML files, recipes included in the package, ``key=value`` settings."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pyro_align.errors import ConfigError

RECIPES = Path(__file__).parents[1] / "recipes"
"""Folder of the recipes included in the package."""


def recipe(name: str) -> Path:
    """File of a recipe included in the package, such as ``demo``."""
    return RECIPES / f"{name}.toml"


def recipes() -> list[str]:
    """Names of the recipes included in the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def config_file(path: Path) -> Path:
    """Resolve a path or the name of a recipe to a configuration file.

    Raises:
        ConfigError: if neither exists.
    """
    is_recipe = str(path) in recipes()
    if path.exists() and not (is_recipe and path.is_dir()):
        return path
    if not is_recipe:
        raise ConfigError(
            f"{path}: no such file; give a TOML file, or the name of a recipe: "
            f"{', '.join(recipes())}"
        )
    return recipe(str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """Read the tables of a TOML file.

    Raises:
        ConfigError: if the file is missing, unreadable or not valid TOML; the message gives the
            line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None


def parse_setting(setting: str) -> tuple[str, Any]:
    """Parse ``key=value``; the value is parsed as TOML, or taken as a string if it is not TOML.

    Raises:
        ConfigError: if ``=`` is missing.
    """
    key, equals, text = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set {setting}: expected key=value, such as training.epochs=5")
    return key.strip(), _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
