"""Tasks, one per file: the data, network, evaluation and predictions of one kind of problem."""

import lazy_loader

# Names are imported on first use: torch takes seconds to import.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
