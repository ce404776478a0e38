from .attention import SCORERS, Scorer
from .config import NetworkConfig
from .decoder import Decoder, DecoderState
from .emission import (
    EMISSIONS,
    Emission,
    ProductEmission,
    TanhEmission,
    expected,
    pick,
)
from .encoder import Encoder
from .sequence_to_sequence import Memory, SequenceToSequence, States

__all__ = [
    "EMISSIONS",
    "SCORERS",
    "Decoder",
    "DecoderState",
    "Emission",
    "Encoder",
    "Memory",
    "NetworkConfig",
    "ProductEmission",
    "Scorer",
    "SequenceToSequence",
    "States",
    "TanhEmission",
    "expected",
    "pick",
]
