"""Hidden Markov word aligner, fitted to a text in both directions."""

from pyro_align.word_alignment.hmm.agreement import product, project
from pyro_align.word_alignment.hmm.classes import Classes, spelled_alike
from pyro_align.word_alignment.hmm.fertility import Fertility
from pyro_align.word_alignment.hmm.fitting import FittedText, fit
from pyro_align.word_alignment.hmm.lexicon import Lexicon
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel, Translations, Words
from pyro_align.word_alignment.hmm.observed import Observed, observe
from pyro_align.word_alignment.hmm.settings import Projection, Settings
from pyro_align.word_alignment.hmm.storage import FILE, SavedTables, load_aligner, save_aligner
from pyro_align.word_alignment.hmm.text import ClassText

__all__ = [
    "FILE",
    "ClassText",
    "Classes",
    "Fertility",
    "FittedText",
    "HiddenMarkovModel",
    "Lexicon",
    "Observed",
    "Projection",
    "SavedTables",
    "Settings",
    "Translations",
    "Words",
    "fit",
    "load_aligner",
    "observe",
    "product",
    "project",
    "save_aligner",
    "spelled_alike",
]
