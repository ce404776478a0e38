"""pyro-align: latent alignment as probabilistic programs."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyro_align.posterior import AlignmentPosterior, AnswerPosterior, compare, side_by_side
    from pyro_align.runs.run import Run

# tqdm, imported by Pyro, warns in notebooks without ipywidgets; progress is then shown as text.
warnings.filterwarnings("ignore", message="IProgress not found")

__version__ = version("pyro-align")

__all__ = [
    "AlignmentPosterior",
    "AnswerPosterior",
    "__version__",
    "compare",
    "load",
    "side_by_side",
]


def load(path: Path | str, *, trust: bool = False) -> Run:
    """Load a run with its best weights.

    Args:
        path: the run folder.
        trust: execute the run's own code, if it has any, even if this user has not passed it to
            ``fit`` on this machine.

    Raises:
        pyro_align.errors.RunError: if the folder is not a run, is damaged, of another version,
            or has code that is not trusted.
    """
    # Torch and Lightning take seconds to import, and `import pyro_align` alone needs neither.
    from pyro_align.runs.run import Run

    return Run.load(path, trust=trust)


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import here too.
    if name in ("AlignmentPosterior", "AnswerPosterior", "compare", "side_by_side"):
        from pyro_align import posterior

        return getattr(posterior, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
