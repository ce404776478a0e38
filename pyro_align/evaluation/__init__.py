"""Metrics, evaluation of a model and guide, and diagnosis of gradients."""

import lazy_loader

# Names are imported on first use: torch takes seconds to import.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
