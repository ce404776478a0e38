from .alignment import Alignment
from .convolution import ConvolutionalEncoder, DilatedConvolutions
from .copying import CopyEmission
from .decoder import Decoder, DecoderState, Memory
from .emissions import (
    EMISSIONS,
    Emission,
    ProductEmission,
    SoftmaxEmission,
    TanhEmission,
    expected,
    pick,
)
from .encoder import Encoder, RecurrentEncoder, TransformerEncoder
from .image_grid import ImageGrid, cell_boxes
from .jumps import Jumps
from .language import (
    LanguageDecoder,
    LanguageState,
    RecurrentLanguageDecoder,
    TransformerLanguageDecoder,
)
from .latent_attention import LatentAttention
from .questions import QuestionEncoder, RecurrentQuestionEncoder, TransformerQuestionEncoder
from .recurrence import BidirectionalRecurrence, ForwardRecurrence
from .recurrent_decoder import (
    InputFeedingDecoder,
    PlainDecoder,
    PosteriorFeedingDecoder,
    PosteriorFeedingState,
    RecurrentDecoder,
    RecurrentDecoderState,
)
from .regions import RegionContext, RegionEncoder
from .scorers import SCORERS, DotScorer, GeneralScorer, MLPScorer, ScaledScorer, Scorer
from .sparse_emission import SparseProductEmission
from .transformer import Transformer
from .transformer_decoder import TransformerDecoder, TransformerState
from .transformer_layer import TransformerLayer
from .whitening import Whitening
from .window import ConvolutionalLanguageDecoder, WindowDecoder

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
    "PosteriorFeedingDecoder",
    "PosteriorFeedingState",
    "ProductEmission",
    "QuestionEncoder",
    "RecurrentDecoder",
    "RecurrentDecoderState",
    "RecurrentEncoder",
    "RecurrentLanguageDecoder",
    "RecurrentQuestionEncoder",
    "RegionContext",
    "RegionEncoder",
    "ScaledScorer",
    "Scorer",
    "SoftmaxEmission",
    "SparseProductEmission",
    "TanhEmission",
    "Transformer",
    "TransformerDecoder",
    "TransformerEncoder",
    "TransformerLanguageDecoder",
    "TransformerLayer",
    "TransformerQuestionEncoder",
    "TransformerState",
    "Whitening",
    "WindowDecoder",
    "cell_boxes",
    "expected",
    "pick",
]
