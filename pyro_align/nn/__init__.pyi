from .alignment import Alignment
from .copying import CopyEmission
from .decoder import Decoder, DecoderState, InputFeedingDecoder, Memory, PlainDecoder
from .emissions import (
    EMISSIONS,
    Emission,
    ProductEmission,
    SoftmaxEmission,
    TanhEmission,
    expected,
    pick,
)
from .encoder import Encoder, RecurrentEncoder
from .jumps import Jumps
from .language import LanguageDecoder, LanguageState, RecurrentLanguageDecoder
from .latent_attention import LatentAttention
from .recurrence import BidirectionalRecurrence, ForwardRecurrence
from .scorers import SCORERS, DotScorer, GeneralScorer, MLPScorer, Scorer

__all__ = [
    "EMISSIONS",
    "SCORERS",
    "Alignment",
    "BidirectionalRecurrence",
    "CopyEmission",
    "Decoder",
    "DecoderState",
    "DotScorer",
    "Emission",
    "Encoder",
    "ForwardRecurrence",
    "GeneralScorer",
    "InputFeedingDecoder",
    "Jumps",
    "LanguageDecoder",
    "LanguageState",
    "LatentAttention",
    "MLPScorer",
    "Memory",
    "PlainDecoder",
    "ProductEmission",
    "RecurrentEncoder",
    "RecurrentLanguageDecoder",
    "Scorer",
    "SoftmaxEmission",
    "TanhEmission",
    "expected",
    "pick",
]
