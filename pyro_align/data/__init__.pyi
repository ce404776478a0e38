from .batching import BatchLoader, BucketBatches, FixedBatches
from .index import IndexedCorpus
from .lines import read_lines
from .links import (
    FORMATS,
    GoldLinks,
    Link,
    LinkFile,
    check_links,
    format_links,
    parse_links,
)
from .preparation import index_text, make_vocabularies
from .text import ParallelText, SentencePair
from .vocabulary import Vocabulary
from .words import split_words

__all__ = [
    "FORMATS",
    "BatchLoader",
    "BucketBatches",
    "FixedBatches",
    "GoldLinks",
    "IndexedCorpus",
    "Link",
    "LinkFile",
    "ParallelText",
    "SentencePair",
    "Vocabulary",
    "check_links",
    "format_links",
    "index_text",
    "make_vocabularies",
    "parse_links",
    "read_lines",
    "split_words",
]
