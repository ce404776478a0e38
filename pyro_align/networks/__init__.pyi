from .config import NetworkConfig
from .network import AutoregressiveNetwork, Network, States
from .sequence_to_sequence import SequenceToSequence, TokenFeatures, token_embedding

__all__ = [
    "AutoregressiveNetwork",
    "Network",
    "NetworkConfig",
    "SequenceToSequence",
    "States",
    "TokenFeatures",
    "token_embedding",
]
