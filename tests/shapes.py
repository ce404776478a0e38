"""Checks the shapes and types that the package's signatures state, while its tests run."""

from __future__ import annotations

import warnings
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep585DeprecationWarning
from jaxtyping import install_import_hook

PACKAGES = [
    f"pyro_align.{name}"
    for name in (
        "data.batch",
        "distributions",
        "guides",
        "inference",
        "evaluation",
        "models",
        "networks",
        "nn",
        "posterior",
        "training",
        "decoding",
    )
]
"""Where tensors are."""

# An int is a float, as for mypy.
_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Any) -> Any:
    """The function, which raises if an argument or its result is not what is stated."""
    with warnings.catch_warnings():
        # Some of Pyro's classes derive from hints that are deprecated.
        warnings.simplefilter("ignore", BeartypeDecorHintPep585DeprecationWarning)
        return _check(function)


def install() -> None:
    """From here on, check whatever is imported of :data:`PACKAGES`."""
    install_import_hook(PACKAGES, f"{__name__}.check")
