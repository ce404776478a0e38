"""pyro-align: latent alignment as probabilistic programs."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyro_align.run import Run

__version__ = version("pyro-align")


def load(path: Path | str) -> Run:
    """Read a run folder with its best weights.

    Raises:
        pyro_align.errors.RunError: if it is no run, damaged, or of a newer version.
    """
    # Torch and Lightning take seconds to import, and `import pyro_align` alone needs neither.
    from pyro_align.run import Run

    return Run.load(path)
