"""Hidden Markov word aligner, fitted to a text in both directions."""

from pyro_align.hmm.agreement import product, project
from pyro_align.hmm.classes import Classes, spelled_alike
from pyro_align.hmm.fertility import Fertility
from pyro_align.hmm.fitting import FittedText, fit
from pyro_align.hmm.lexicon import Lexicon
from pyro_align.hmm.model import HiddenMarkovModel, Translations, Words
from pyro_align.hmm.observed import Observed, observe
from pyro_align.hmm.settings import Projection, Settings
from pyro_align.hmm.storage import FILE, SavedTables, load_aligner, save_aligner
from pyro_align.hmm.text import ClassText

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
