from .answers import AnswerVocabulary, question_vocabulary, question_words
from .batching import BatchLoader, BucketBatches, Examples, FixedBatches, all_batches
from .bpe_dropout import BPEDropout, ResegmentedCorpus
from .candidates import load_candidates, save_candidates, translation_candidates
from .copies import counterparts
from .encoded_forms import encode_forms
from .forms import (
    CONLL_2017,
    PRONUNCIATION,
    SIGMORPHON_2016,
    FormLayout,
    FormPair,
    FormText,
    parse_forms,
    read_forms,
)
from .images import ImageFolder, check_images
from .index import IndexedCorpus
from .lines import read_lines
from .linked import LinkedCorpus
from .links import (
    FORMATS,
    GoldLinks,
    Link,
    LinkFile,
    check_links,
    format_links,
    links_of_pieces,
    parse_links,
)
from .markup import Markup
from .normal_forms import NormalForms
from .preparation import index_text, make_symbol_vocabularies, make_vocabularies
from .question_batches import ImageBatch, QuestionBatch, RegionBatch
from .question_examples import ImageExamples, QuestionExamples, RegionExamples
from .questions import Question, read_questions
from .regions import Regions, RegionStore, check_regions, open_regions
from .sentences import (
    EncodedSentences,
    Sentence,
    SentenceText,
    encode_sentences,
    word_vocabulary,
)
from .splitting import Splitting, are_separated
from .symbols import SymbolVocabulary, describe_unknown
from .text import ParallelText, SentencePair
from .vectors import VectorBatch, VectorExamples
from .vocabulary import Vocabulary
from .words import split_words

__all__ = [
    "CONLL_2017",
    "FORMATS",
    "PRONUNCIATION",
    "SIGMORPHON_2016",
    "AnswerVocabulary",
    "BPEDropout",
    "BatchLoader",
    "BucketBatches",
    "EncodedSentences",
    "Examples",
    "FixedBatches",
    "FormLayout",
    "FormPair",
    "FormText",
    "GoldLinks",
    "ImageBatch",
    "ImageExamples",
    "ImageFolder",
    "IndexedCorpus",
    "Link",
    "LinkFile",
    "LinkedCorpus",
    "Markup",
    "NormalForms",
    "ParallelText",
    "Question",
    "QuestionBatch",
    "QuestionExamples",
    "RegionBatch",
    "RegionExamples",
    "RegionStore",
    "Regions",
    "ResegmentedCorpus",
    "Sentence",
    "SentencePair",
    "SentenceText",
    "Splitting",
    "SymbolVocabulary",
    "VectorBatch",
    "VectorExamples",
    "Vocabulary",
    "all_batches",
    "are_separated",
    "check_images",
    "check_links",
    "check_regions",
    "counterparts",
    "describe_unknown",
    "encode_forms",
    "encode_sentences",
    "format_links",
    "index_text",
    "links_of_pieces",
    "load_candidates",
    "make_symbol_vocabularies",
    "make_vocabularies",
    "open_regions",
    "parse_forms",
    "parse_links",
    "question_vocabulary",
    "question_words",
    "read_forms",
    "read_lines",
    "read_questions",
    "save_candidates",
    "split_words",
    "translation_candidates",
    "word_vocabulary",
]
