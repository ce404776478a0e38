from .task import TRIAL_VOCABULARY, Task
from .translation import Translation

__all__ = ["TRIAL_VOCABULARY", "Task", "Translation"]
