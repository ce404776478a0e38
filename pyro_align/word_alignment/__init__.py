"""Word alignment of sentence pairs: decoding, symmetrisation, output formats, sharded input."""

from pyro_align.word_alignment.aligner import (
    AlignedPair,
    Aligner,
    Tables,
    links_of,
    score_of,
)
from pyro_align.word_alignment.cluster import align_shards_on_ray
from pyro_align.word_alignment.decoding import (
    DECODERS,
    Argmax,
    Decoder,
    MinimumRisk,
    Threshold,
    agreement,
    grown_mean,
)
from pyro_align.word_alignment.lexicons import lexicon_lines, read_lexicon, write_lexicon
from pyro_align.word_alignment.pairs import Pair, PairText, Side
from pyro_align.word_alignment.shards import align_shards
from pyro_align.word_alignment.symmetrise import (
    SYMMETRISATIONS,
    SYMMETRISE,
    ByGrownMean,
    ByLinks,
    ByProduct,
    Symmetrisation,
    grow_diag,
    grow_diag_final,
    grow_diag_final_and,
    intersect,
    union,
)
from pyro_align.word_alignment.tables import ORIGINS, MeanTables, WordTables
from pyro_align.word_alignment.transductive import align_text
from pyro_align.word_alignment.writing import Writer, score_line, writer

__all__ = [
    "DECODERS",
    "ORIGINS",
    "SYMMETRISATIONS",
    "SYMMETRISE",
    "AlignedPair",
    "Aligner",
    "Argmax",
    "ByGrownMean",
    "ByLinks",
    "ByProduct",
    "Decoder",
    "MeanTables",
    "MinimumRisk",
    "Pair",
    "PairText",
    "Side",
    "Symmetrisation",
    "Tables",
    "Threshold",
    "WordTables",
    "Writer",
    "agreement",
    "align_shards",
    "align_shards_on_ray",
    "align_text",
    "grow_diag",
    "grow_diag_final",
    "grow_diag_final_and",
    "grown_mean",
    "intersect",
    "lexicon_lines",
    "links_of",
    "read_lexicon",
    "score_line",
    "score_of",
    "union",
    "write_lexicon",
    "writer",
]
