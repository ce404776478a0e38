import math

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from pyro_align.config import TrainingConfig
from pyro_align.training.optimization import PlateauSchedule, configure


def weight():
    return torch.nn.Parameter(torch.zeros(2))


def learning_rates(steps, **settings):
    """Learning rates of the first steps."""
    configured = configure([weight()], TrainingConfig(learning_rate=0.5, **settings), steps)
    rates = []
    for _ in range(steps):
        (group,) = configured["optimizer"].param_groups
        rates.append(group["lr"])
        configured["optimizer"].step()
        configured["lr_scheduler"]["scheduler"].step()
    return rates


@pytest.mark.parametrize("warmup", [0, 1, 4])
def test_inverse_square_root(warmup):
    rates = learning_rates(20, schedule="inverse-square-root", warmup_steps=warmup)
    peak = max(1, warmup)
    expected = [
        0.5 * ((step + 1) / peak if step < peak else math.sqrt(peak / step)) for step in range(20)
    ]
    assert rates == pytest.approx(expected)
    assert max(rates) == 0.5


def test_constant_after_a_warm_up():
    rates = learning_rates(6, schedule="constant", warmup_steps=4)
    assert rates == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5])


@pytest.mark.parametrize("warmup", [0, 3])
def test_cosine_agrees_with_torch(warmup):
    optimizer = torch.optim.SGD([weight()], lr=0.5)
    torchs = CosineAnnealingLR(optimizer, T_max=10)
    expected = []
    for step in range(10):
        expected.append(optimizer.param_groups[0]["lr"] * min(1.0, (step + 1) / max(1, warmup)))
        optimizer.step()
        torchs.step()
    assert learning_rates(10, schedule="cosine", warmup_steps=warmup) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_optimisers(name, kind):
    settings = TrainingConfig(optimizer=name, learning_rate=0.25, weight_decay=0.125)
    optimizer = configure([weight()], settings, 1)["optimizer"]
    assert type(optimizer) is kind
    assert optimizer.defaults["lr"] == 0.25
    assert optimizer.defaults["weight_decay"] == 0.125


@pytest.mark.parametrize("patience", [0, 1, 2])
def test_plateau_agrees_with_torch_and_restores_its_state(patience):
    perplexities = [9.0, 8.0, 8.5, 8.2, 7.99995, 7.9, 8.0, 8.0, 8.0, 7.0, 7.0, 7.5, 6.0]
    reference = torch.optim.SGD([weight()], lr=1.0)
    torchs = ReduceLROnPlateau(reference, factor=0.5, patience=patience, threshold_mode="abs")
    own = torch.optim.SGD([weight()], lr=1.0)
    schedule = PlateauSchedule("valid/perplexity", patience)
    for perplexity in perplexities:
        torchs.step(perplexity)
        resumed = PlateauSchedule("valid/perplexity", patience)
        resumed.load_state_dict(schedule.state_dict())
        schedule = resumed
        schedule.step(perplexity, [own])
        assert own.param_groups[0]["lr"] == reference.param_groups[0]["lr"]
    assert own.param_groups[0]["lr"] < 1.0
