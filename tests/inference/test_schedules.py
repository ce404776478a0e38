"""KL schedules against their closed form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.errors import ConfigError
from pyro_align.inference import KL_SCHEDULES

lengths = st.integers(1, 1000)
steps = st.integers(0, 5000)


def test_names():
    assert set(KL_SCHEDULES) == {"constant", "linear", "cyclical"}


@given(lengths, steps)
def test_constant_is_one(length, step):
    assert KL_SCHEDULES["constant"](length)(step) == 1


@given(lengths, steps)
def test_linear_rises_to_one(length, step):
    schedule = KL_SCHEDULES["linear"](length)
    assert schedule(step) == pytest.approx(step / length if step <= length else 1)
    assert schedule(0) == 0
    assert schedule(length) == 1


@given(lengths, steps)
def test_cyclical_repeats_a_ramp_and_a_plateau(length, step):
    schedule = KL_SCHEDULES["cyclical"](length)
    within = step % length
    expected = within / (length / 2) if within < length / 2 else 1
    assert schedule(step) == pytest.approx(expected)
    assert schedule(step + length) == schedule(step)
    assert schedule(0) == 0


@pytest.mark.parametrize("name", sorted(KL_SCHEDULES))
@pytest.mark.parametrize("length", [0, -3])
def test_steps_below_one_are_rejected(name, length):
    with pytest.raises(ConfigError, match=f"at least one step, got steps = {length}"):
        KL_SCHEDULES[name](length)
