"""Hidden Markov word aligner, fitted to a text in both directions."""

from pyro_align.word_alignment.hmm.affixes import AffixTables
from pyro_align.word_alignment.hmm.agreement import product, project
from pyro_align.word_alignment.hmm.cells import Cells
from pyro_align.word_alignment.hmm.cooccurrences import AffixPairs, IdPairs, WordPairs
from pyro_align.word_alignment.hmm.fertility import Fertility
from pyro_align.word_alignment.hmm.fitting import FittedText, fit
from pyro_align.word_alignment.hmm.lexicon import Lexicon, Unstored
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel
from pyro_align.word_alignment.hmm.observed import Observed, infer, observe
from pyro_align.word_alignment.hmm.occurrences import Occurrences
from pyro_align.word_alignment.hmm.processes import available_processes, in_halves, one_thread
from pyro_align.word_alignment.hmm.settings import Projection, Settings
from pyro_align.word_alignment.hmm.spelling import Characters, Spelling
from pyro_align.word_alignment.hmm.storage import FILE, SavedTables, load_aligner, save_aligner
from pyro_align.word_alignment.hmm.text import TypeText
from pyro_align.word_alignment.hmm.translations import Translations
from pyro_align.word_alignment.hmm.types import Types
from pyro_align.word_alignment.hmm.words import Words

__all__ = [
    "FILE",
    "AffixPairs",
    "AffixTables",
    "Cells",
    "Characters",
    "Fertility",
    "FittedText",
    "HiddenMarkovModel",
    "IdPairs",
    "Lexicon",
    "Observed",
    "Occurrences",
    "Projection",
    "SavedTables",
    "Settings",
    "Spelling",
    "Translations",
    "TypeText",
    "Types",
    "Unstored",
    "WordPairs",
    "Words",
    "available_processes",
    "fit",
    "in_halves",
    "infer",
    "load_aligner",
    "observe",
    "one_thread",
    "product",
    "project",
    "save_aligner",
]
