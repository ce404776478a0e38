from .config import NetworkConfig
from .sequence_to_sequence import SequenceToSequence, States, TokenFeatures

__all__ = ["NetworkConfig", "SequenceToSequence", "States", "TokenFeatures"]
