from .answering_config import AnsweringNetworkConfig
from .config import NetworkConfig
from .language import LanguageNetwork
from .language_config import LanguageNetworkConfig
from .network import AutoregressiveNetwork, Network, States
from .question_answering import AnsweringInputs, QuestionAnswering
from .sequence_to_sequence import SequenceToSequence, TokenFeatures, token_embedding

__all__ = [
    "AnsweringInputs",
    "AnsweringNetworkConfig",
    "AutoregressiveNetwork",
    "LanguageNetwork",
    "LanguageNetworkConfig",
    "Network",
    "NetworkConfig",
    "QuestionAnswering",
    "SequenceToSequence",
    "States",
    "TokenFeatures",
    "token_embedding",
]
