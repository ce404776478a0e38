"""Neural networks: encoders, decoders, attention scorers, emissions; plain ``nn.Module``s."""

from pyro_align.networks.attention import SCORERS, Scorer
from pyro_align.networks.config import NetworkConfig
from pyro_align.networks.decoder import Decoder, DecoderState
from pyro_align.networks.emission import (
    EMISSIONS,
    Emission,
    ProductEmission,
    TanhEmission,
    expected,
    pick,
)
from pyro_align.networks.encoder import Encoder
from pyro_align.networks.sequence_to_sequence import Memory, SequenceToSequence, States

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
