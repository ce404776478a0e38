from .pairs import SequencePairs
from .sentences import Sentences
from .task import TRIAL_VOCABULARY, Task
from .transduction import Transduction
from .translation import Translation
from .vqa import VisualQuestionAnswering

__all__ = [
    "TRIAL_VOCABULARY",
    "Sentences",
    "SequencePairs",
    "Task",
    "Transduction",
    "Translation",
    "VisualQuestionAnswering",
]
