"""Parallel text, vocabularies, the index on disk, batches and gold links."""

from pyro_align.corpus.batching import BatchLoader, BucketBatches, FixedBatches
from pyro_align.corpus.index import IndexedCorpus
from pyro_align.corpus.lines import read_lines
from pyro_align.corpus.links import (
    FORMATS,
    GoldLinks,
    Link,
    check_links,
    format_links,
    parse_links,
    read_links,
)
from pyro_align.corpus.text import ParallelText, SentencePair
from pyro_align.corpus.vocabulary import Vocabulary
from pyro_align.corpus.words import split_words

__all__ = [
    "FORMATS",
    "BatchLoader",
    "BucketBatches",
    "FixedBatches",
    "GoldLinks",
    "IndexedCorpus",
    "Link",
    "ParallelText",
    "SentencePair",
    "Vocabulary",
    "check_links",
    "format_links",
    "parse_links",
    "read_lines",
    "read_links",
    "split_words",
]
