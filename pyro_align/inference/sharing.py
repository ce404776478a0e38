"""Arguments of programs that share results."""

from __future__ import annotations

from typing import Any

from pyro_align.data.sharing import shared

__all__ = ["shared", "shared_arguments"]


def shared_arguments(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Replace each batch among a program's arguments by its ``sharing()``."""
    return tuple(arg.sharing() if hasattr(arg, "sharing") else arg for arg in args)
