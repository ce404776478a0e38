"""The suite's own tools can tell right from wrong."""

from __future__ import annotations

import pyro
import pytest
import torch
from support import (
    SIGMAS,
    global_state,
    mean_error,
    random_batch,
    restore,
    tiny_guide,
    tiny_model,
)


def test_mean_error_is_small_for_the_truth_and_large_for_a_bias():
    draws = torch.randn(200, 50, dtype=torch.float64) * torch.arange(1, 51) + 3
    truth = torch.full((50,), 3.0, dtype=torch.float64)
    assert mean_error(draws, truth).max() < SIGMAS
    truth[17] += 18 * 10 / 200**0.5
    assert mean_error(draws, truth).argmax() == 17
    assert mean_error(draws, truth).max() > SIGMAS


def test_mean_error_of_a_constant_coordinate_is_zero_only_at_its_value():
    draws = torch.zeros(100, 2, dtype=torch.float64)
    error = mean_error(draws, torch.tensor([0.0, 1e-3], dtype=torch.float64))
    assert error[0] == 0
    assert error[1] > 1e6


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("pyro settings", lambda: pyro.enable_validation(False)),
        ("pyro settings", lambda: pyro.settings.set(module_local_params=True)),
        ("default dtype", lambda: torch.set_default_dtype(torch.float64)),
        ("default device", lambda: torch.set_default_device("meta")),
        ("threads", lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
        ("gradients", lambda: torch.set_grad_enabled(False)),
        ("anomaly detection", lambda: torch.autograd.set_detect_anomaly(True)),
        ("autocast", lambda: torch.set_autocast_enabled("cpu", True)),
        ("deterministic algorithms", lambda: torch.use_deterministic_algorithms(True)),
        ("pyro handlers", lambda: pyro.poutine.block().__enter__()),
        ("matmul precision", lambda: torch.set_float32_matmul_precision("medium")),
    ],
)
def test_a_change_of_global_state_is_seen_and_undone(name, change):
    before = global_state()
    change()
    after = global_state()
    restore(before)
    assert {key for key in before if before[key] != after[key]} == {name}
    assert global_state() == before


def test_the_tiny_networks_make_a_difference():
    """Alignments matter and the guide disagrees with the prior, or the suite would see little."""
    model, batch = tiny_model(), random_batch((3, 4, 2), (4, 2, 3))
    states, q = model.states(batch), tiny_guide(model).scores(batch).softmax(-1)
    p = states.scores.softmax(-1)
    support = torch.arange(2).reshape(-1, 1, 1)
    log_probs = model.emission(states, support).log_prob(batch.target)
    assert (p - q).abs().sum(-1)[batch.target_mask].mean() > 0.2
    assert (log_probs[0] - log_probs[1]).abs()[batch.target_mask].mean() > 0.5
    assert p.max(-1).values[batch.target_mask].max() < 0.99
