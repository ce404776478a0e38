"""Fixtures of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator

# Tensors are tiny here: threads would only wait for each other. Processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pyro
import pytest
import shapes
import torch

shapes.install()
pytest.register_assert_rewrite("browser")

# Only now, for it imports the package.
from support import global_state, restore  # noqa: E402


@pytest.fixture(autouse=True)
def _isolated() -> Iterator[None]:
    """Every test starts from the same seeds and an empty parameter store, and leaves no trace."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    before = global_state()
    yield
    after = global_state()
    pyro.clear_param_store()
    if after != before:
        restore(before)
        changed = {
            name: (before[name], after[name]) for name in before if before[name] != after[name]
        }
        pytest.fail(f"the test changed global state, (before, after): {changed}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, and say why."""
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    if item.get_closest_marker("data") and not os.environ.get("PYRO_ALIGN_DATA"):
        pytest.skip("needs the corpora that the environment variable PYRO_ALIGN_DATA points to")
