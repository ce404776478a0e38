"""Emissions; they are defined in :mod:`pyro_align.nn`."""

from pyro_align.nn.emissions import (
    EMISSIONS,
    GAIN,
    Emission,
    ProductEmission,
    TanhEmission,
    expected,
    pick,
)

__all__ = ["EMISSIONS", "GAIN", "Emission", "ProductEmission", "TanhEmission", "expected", "pick"]
