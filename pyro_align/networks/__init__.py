"""Networks: map a batch to encoded sources, decoder states and attention scores."""

import lazy_loader

# Names are imported on first use: torch and Lightning take seconds to import.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
