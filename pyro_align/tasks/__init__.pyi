from .pairs import SequencePairs
from .task import TRIAL_VOCABULARY, Task
from .transduction import Transduction
from .translation import Translation

__all__ = ["TRIAL_VOCABULARY", "SequencePairs", "Task", "Transduction", "Translation"]
