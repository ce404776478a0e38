from .config import NetworkConfig
from .language import LanguageNetwork
from .language_config import LanguageNetworkConfig
from .network import AutoregressiveNetwork, Network, States
from .sequence_to_sequence import SequenceToSequence, TokenFeatures, token_embedding

__all__ = [
    "AutoregressiveNetwork",
    "LanguageNetwork",
    "LanguageNetworkConfig",
    "Network",
    "NetworkConfig",
    "SequenceToSequence",
    "States",
    "TokenFeatures",
    "token_embedding",
]
