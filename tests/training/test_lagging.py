"""Lagging inference: which steps train the guide, which the model, and when it ends."""

import pytest
import torch
from runs import silent
from tasks_of_sentences import config

from pyro_align.errors import ConfigError
from pyro_align.runs import Run
from pyro_align.training import lagging
from pyro_align.training.lagging import LaggingInference


def step(callback, loss):
    """A step with a loss per token; returns whether it trained the model."""
    trained = callback.trains_model
    callback._sums[0] += 10.0 * loss
    callback._sums[1] += 10.0
    callback.after_step()
    return trained


@pytest.fixture
def callback(monkeypatch):
    monkeypatch.setattr(lagging, "WINDOW", 2)
    monkeypatch.setattr(lagging, "MOST", 6)
    return LaggingInference()


def test_the_model_is_trained_when_the_loss_of_the_guide_rises(callback):
    losses = [3.0, 3.0, 2.0, 2.0, 2.5, 2.1]  # means 3, 2, 2.3
    assert [step(callback, loss) for loss in losses] == [False] * 6
    assert step(callback, 2.0)
    # The window before does not count any more.
    assert [step(callback, loss) for loss in (9.0, 9.0, 8.0, 8.0)] == [False] * 4
    assert not callback.trains_model


def test_the_guide_has_a_maximum_number_of_steps(callback):
    assert [step(callback, 10.0 - number) for number in range(7)] == [False] * 6 + [True]


def test_state_is_restored(callback):
    for loss in (3.0, 3.0, 2.0):
        step(callback, loss)
    other = LaggingInference()
    other.load_state_dict(callback.state_dict())
    assert vars(other) == vars(callback)
    step(callback, 1.0)
    assert vars(other) != vars(callback)


def spy(monkeypatch):
    """Record at each optimiser step which programs have changed since the one before."""
    seen = []
    old = LaggingInference.on_train_batch_end

    def record(self, trainer, module, *rest):
        now = {
            name: torch.cat([each.detach().flatten() for each in program.parameters()])
            for name, program in module.programs.items()
        }
        changed = {name: not torch.equal(seen[-1][0][name], now[name]) for name in now if seen}
        seen.append((now, self.is_active, self.trains_model, changed))
        old(self, trainer, module, *rest)

    monkeypatch.setattr(LaggingInference, "on_train_batch_end", record)
    return seen


def test_a_fit_trains_one_of_the_two_in_each_step(tmp_path, monkeypatch):
    monkeypatch.setattr(lagging, "WINDOW", 1)
    seen = spy(monkeypatch)
    chosen = config(tmp_path / "text", training__lagging=True, training__epochs=3)
    Run.create(chosen, tmp_path / "run", echo=silent).fit(echo=silent, quiet=True)
    assert {active for _, active, _, _ in seen} >= {True}
    assert any(trains for _, active, trains, _ in seen if active)
    for _, active, trains_model, changed in seen[1:]:
        if active:
            assert changed == {"model": trains_model, "guide": not trains_model}
        else:
            assert changed == {"model": True, "guide": True}


def test_it_ends_when_the_information_does_not_rise():
    callback = LaggingInference()
    active = []
    for information in (1.0, 2.0, 2.0):
        callback.after_validation(information)
        active.append(callback.is_active)
    assert active == [True, True, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.name": "language-model"}, "no effect without a latent variable of the sentence"),
        ({"training.devices": 2}, "needs a single training process"),
    ],
)
def test_settings_without_effect(tmp_path, changes, message):
    chosen = config(tmp_path / "text", training__lagging=True).changed(changes)
    with pytest.raises(ConfigError, match=message):
        Run.create(chosen, tmp_path / "run", echo=silent)
