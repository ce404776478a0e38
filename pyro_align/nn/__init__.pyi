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
from .image_grid import ImageGrid
from .jumps import Jumps
from .language import LanguageDecoder, LanguageState, RecurrentLanguageDecoder
from .latent_attention import LatentAttention
from .questions import QuestionEncoder, RecurrentQuestionEncoder, TransformerQuestionEncoder
from .recurrence import BidirectionalRecurrence, ForwardRecurrence
from .regions import RegionContext, RegionEncoder
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
    "ImageGrid",
    "InputFeedingDecoder",
    "Jumps",
    "LanguageDecoder",
    "LanguageState",
    "LatentAttention",
    "MLPScorer",
    "Memory",
    "PlainDecoder",
    "ProductEmission",
    "QuestionEncoder",
    "RecurrentEncoder",
    "RecurrentLanguageDecoder",
    "RecurrentQuestionEncoder",
    "RegionContext",
    "RegionEncoder",
    "Scorer",
    "SoftmaxEmission",
    "TanhEmission",
    "TransformerQuestionEncoder",
    "expected",
    "pick",
]
