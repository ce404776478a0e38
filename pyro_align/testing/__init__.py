"""Tests for your own models and guides; requires pytest.

>>> from pyro_align.testing import GuideContract, randomise, tiny_model
"""

import pytest

# Make failed assertions show their values, as in a test file; must run before the imports.
pytest.register_assert_rewrite("pyro_align.testing.contracts", "pyro_align.testing.stock")

from pyro_align.testing.contracts import Contract, GuideContract, ModelContract  # noqa: E402
from pyro_align.testing.gradients import (  # noqa: E402
    collected_gradient,
    evidence,
    gradient,
    parameters,
)
from pyro_align.testing.small import (  # noqa: E402
    VOCABULARY,
    padded,
    random_batch,
    randomise,
    repeated,
    tiny_guide,
    tiny_model,
    tiny_networks,
)
from pyro_align.testing.stock import stock  # noqa: E402

__all__ = [
    "VOCABULARY",
    "Contract",
    "GuideContract",
    "ModelContract",
    "collected_gradient",
    "evidence",
    "gradient",
    "padded",
    "parameters",
    "random_batch",
    "randomise",
    "repeated",
    "stock",
    "tiny_guide",
    "tiny_model",
    "tiny_networks",
]
