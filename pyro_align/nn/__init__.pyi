from .alignment import Alignment
from .emissions import (
    EMISSIONS,
    Emission,
    ProductEmission,
    TanhEmission,
    expected,
    pick,
)
from .latent_attention import LatentAttention
from .scorers import SCORERS, DotScorer, GeneralScorer, MLPScorer, Scorer

__all__ = [
    "EMISSIONS",
    "SCORERS",
    "Alignment",
    "DotScorer",
    "Emission",
    "GeneralScorer",
    "LatentAttention",
    "MLPScorer",
    "ProductEmission",
    "Scorer",
    "TanhEmission",
    "expected",
    "pick",
]
