"""Small translation models with a Gaussian for each sentence pair, shared by tests."""

from __future__ import annotations

from typing import Any

from support import randomise, tiny_networks

from pyro_align.models import VariationalModel


def variational(
    kind: Any = VariationalModel,
    *,
    latent: int = 2,
    seed: int = 0,
    scale: float = 0.7,
    **settings: Any,
) -> Any:
    """A small model in double precision; ``settings`` are those of the network."""
    return randomise(kind(tiny_networks(**settings), latent=latent), seed, scale)
