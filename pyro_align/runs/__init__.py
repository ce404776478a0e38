"""Runs: a fit in a folder, which can be resumed, evaluated, queried and reported on."""

import lazy_loader

# Names are imported on first use: torch takes seconds to import.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
