from .alignment import Alignment
from .convolution import ConvolutionalEncoder, DilatedConvolutions
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
from .transformer import TransformerEncoder
from .window import ConvolutionalLanguageDecoder, TransformerLanguageDecoder, WindowDecoder

__all__ = [
    "EMISSIONS",
    "SCORERS",
    "Alignment",
    "BidirectionalRecurrence",
    "ConvolutionalEncoder",
    "ConvolutionalLanguageDecoder",
    "CopyEmission",
    "Decoder",
    "DecoderState",
    "DilatedConvolutions",
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
    "TransformerEncoder",
    "TransformerLanguageDecoder",
    "TransformerQuestionEncoder",
    "WindowDecoder",
    "expected",
    "pick",
]
