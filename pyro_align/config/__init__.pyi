from .config import AUTO, Component, Config
from .reading import config_file, parse_setting, read_toml, recipe, recipes
from .registry import GUIDES, MODELS, OBJECTIVES, Registry
from .training import TrainingConfig

__all__ = [
    "AUTO",
    "GUIDES",
    "MODELS",
    "OBJECTIVES",
    "Component",
    "Config",
    "Registry",
    "TrainingConfig",
    "config_file",
    "parse_setting",
    "read_toml",
    "recipe",
    "recipes",
]
