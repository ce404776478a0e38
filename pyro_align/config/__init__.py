"""Settings of a fit, registries of named components, and which of them go together."""

import lazy_loader

# Names are imported on first use: pydantic takes a tenth of a second to import.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
