"""The collapse warning: when it is shown, and its text."""

from __future__ import annotations

import math

import pytest
import torch
from lightning.pytorch import Trainer
from runs import copied, fitted, settings, shared_corpus, shared_run, silent, tiny_config
from support import random_batch, tiny_guide, tiny_model

import pyro_align
from pyro_align.config import Config
from pyro_align.inference import (
    VIMCO,
    EnumeratedELBO,
    ExactMarginal,
    ReweightedWakeSleep,
    ScoreFunctionELBO,
)
from pyro_align.inference.traces import own_parameters
from pyro_align.runs import Run
from pyro_align.training import TrainingModule, collapse, save_weights
from pyro_align.training.collapse import CollapseWarning, remedies

STILL = {"network__cell": "gru", "training__learning_rate": 1e-30}
"""Settings with which no weight changes."""

COLLAPSED = {"kl": 0.001, "prior_entropy": 2.0, "gap": 0.5}
"""Values of a validation, in nats per position."""

GRADIENTS = (1.0, 2.0)
"""Norms of guide and model."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(collapse, "EARLY", 0)


class Found(Trainer):
    """A trainer after a validation."""

    def __init__(self, metrics, step):
        self.metrics, self.step = metrics, step

    @property
    def callback_metrics(self):
        return {name: torch.tensor(value) for name, value in self.metrics.items()}

    @property
    def global_step(self):
        return self.step

    @property
    def is_global_zero(self):
        return True


class World:
    """A task, with steps and validations that have given results."""

    def __init__(self, objective=None, **changes):
        config = Config.load(settings=settings(**changes))
        self.model = tiny_model()
        self.guide = tiny_guide(self.model)
        self.task = TrainingModule(
            self.model, self.guide, objective or EnumeratedELBO(), config.training
        )
        self.inferred = own_parameters(self.guide, self.model)

    def callback(self):
        return CollapseWarning(self.inferred)

    def step(self, callback, norms=GRADIENTS):
        """Make a step with gradients of the given norms."""
        for parameters, norm in zip((self.inferred, self.model.parameters()), norms, strict=True):
            parameters = list(parameters)
            for parameter in parameters:
                parameter.grad = torch.zeros_like(parameter)
            parameters[0].grad.view(-1)[0] = norm * 0.6
            parameters[-1].grad.view(-1)[-1] = norm * 0.8
        self.look(callback)

    def look(self, callback):
        """Pass the current gradients to the callback."""
        optimizer = torch.optim.SGD(self.inferred, lr=1.0)
        callback.on_before_optimizer_step(Found({}, 0), self.task, optimizer)

    def validate(self, callback, found, step=1000):
        """End a validation with the given values."""
        perplexity = 8.0
        metrics = {
            "valid/perplexity": perplexity,
            "valid/log_evidence": -math.log(perplexity),
            "valid/elbo": -math.log(perplexity) - found["gap"],
            "valid/kl": found["kl"],
            "valid/prior_entropy": found["prior_entropy"],
        }
        if "sentence_kl" in found:
            metrics["valid/sentence_kl"] = found["sentence_kl"]
        callback.on_validation_end(Found(metrics, step), self.task)

    def epochs(self, number, callback=None, norms=GRADIENTS, step=1000, **found):
        callback = callback or self.callback()
        for _ in range(number):
            self.step(callback, norms)
            self.validate(callback, {**COLLAPSED, **found}, step)
        return callback


def warnings(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if "warning" in line]


HEALTHY = {"kl": 0.3}

CASES = {
    "a collapse": ({}, {}, GRADIENTS, True),
    "a collapse with an exact posterior equal to the prior": ({}, {"gap": 0.0}, GRADIENTS, True),
    "a guide that differs from the prior": ({}, HEALTHY, GRADIENTS, False),
    "a collapse of sentences": ({}, {**HEALTHY, "sentence_kl": 0.1}, GRADIENTS, True),
    "sentences whose latent variable is used": ({}, {"sentence_kl": 0.5}, GRADIENTS, False),
    "a prior that is certain": ({}, {"prior_entropy": 0.05}, GRADIENTS, False),
    "a frozen model": ({"training__freeze_model": True}, {}, GRADIENTS, True),
    "a frozen model whose posterior is its prior": (
        {"training__freeze_model": True},
        {"gap": 0.001},
        GRADIENTS,
        False,
    ),
    "a KL weight that has risen": ({"training__kl_schedule": "linear"}, {}, GRADIENTS, True),
    "a KL weight that still rises": (
        {"training__kl_schedule": "linear", "training__kl_steps": 1001},
        {},
        GRADIENTS,
        False,
    ),
    "a gradient that vanishes": ({}, HEALTHY, (1e-5, 1.0), True),
    "a gradient that is zero": ({}, HEALTHY, (0.0, 1.0), True),
    "a small gradient": ({}, HEALTHY, (1e-3, 1.0), False),
    "a vanishing gradient without a gap": ({}, {**HEALTHY, "gap": 0.001}, (1e-5, 1.0), False),
    "a vanishing gradient with a frozen model": (
        {"training__freeze_model": True},
        HEALTHY,
        (1e-6, 0.0),
        False,
    ),
    "no gradient at all": ({"training__freeze_model": True}, HEALTHY, (0.0, 0.0), True),
}


@pytest.mark.parametrize("what", CASES)
def test_the_warning_is_shown_only_for_a_collapse(capsys, what):
    changes, found, norms, expected = CASES[what]
    World(**changes).epochs(5, norms=norms, **found)
    assert len(warnings(capsys)) == expected


@pytest.mark.parametrize(("gap", "expected"), [(0.001, 0), (0.5, 1)])
def test_an_exact_objective_warns_only_if_the_gap_is_large(capsys, gap, expected):
    World(ExactMarginal()).epochs(5, gap=gap)
    assert len(warnings(capsys)) == expected


def test_two_consecutive_epochs_are_needed(capsys):
    world = World()
    callback = world.epochs(1)
    world.epochs(1, callback, kl=0.3)
    world.epochs(1, callback)
    assert not warnings(capsys)
    world.epochs(1, callback)
    assert len(warnings(capsys)) == 1


def test_no_warning_in_the_first_steps(capsys, monkeypatch):
    monkeypatch.setattr(collapse, "EARLY", 100)
    World().epochs(5, step=99)
    assert not warnings(capsys)
    World().epochs(5, step=100)
    assert warnings(capsys)


def test_no_warning_during_the_warm_up(capsys):
    world = World()
    world.task.objective.warmup_steps = 1001
    world.epochs(5)
    assert not warnings(capsys)
    world.task.objective.warmup_steps = 1000
    world.epochs(5)
    assert warnings(capsys)


def test_gradient_norms_cover_the_whole_epoch(capsys):
    world = World()
    callback = world.callback()
    for _ in range(2):
        for norms in ((0.0, 1.0), (1.0, 1.0), (0.0, 1.0)):
            world.step(callback, norms)
        world.validate(callback, {**COLLAPSED, **HEALTHY})
    assert not warnings(capsys)


def test_a_resume_continues_within_an_epoch(capsys):
    world = World()
    before = world.epochs(1)
    world.step(before)
    after = world.callback()
    after.load_state_dict(before.state_dict())
    world.validate(after, COLLAPSED)
    assert len(warnings(capsys)) == 1
    again = world.callback()
    again.load_state_dict(after.state_dict())
    world.epochs(4, again)
    assert not warnings(capsys)


def test_text_of_the_warning(capsys):
    World().epochs(2)
    (line,) = warnings(capsys)
    assert "KL(guide ‖ prior) is 0.001 nats per position, the prior's entropy 2," in line
    World().epochs(2, sentence_kl=0.003)
    (line,) = warnings(capsys)
    assert "KL(guide ‖ prior) of a sentence is 0.003 nats, for 2 epochs" in line
    World().epochs(2, norms=(1e-6, 3.0), **HEALTHY)
    (line,) = warnings(capsys)
    assert "the guide's gradient has norm 1e-06, the model's 3" in line


SETTINGS_NAMED = {
    "enumerated": (EnumeratedELBO(), {}, ["kl_schedule", "word_dropout", "free_bits"]),
    "free bits": (EnumeratedELBO(free_bits=0.1), {}, ["kl_schedule", "word_dropout"]),
    "annealed": (
        EnumeratedELBO(),
        {"training__kl_schedule": "linear"},
        ["word_dropout", "free_bits"],
    ),
    "frozen": (EnumeratedELBO(), {"training__freeze_model": True}, ["kl_schedule", "free_bits"]),
    "score function": (
        ScoreFunctionELBO(),
        {},
        ["kl_schedule", "word_dropout", "free_bits", "baseline", "enumerated"],
    ),
    "reweighted wake-sleep": (ReweightedWakeSleep(), {}, ["word_dropout", "enumerated"]),
    "exact": (ExactMarginal(), {}, ["learning_rate"]),
    "VIMCO": (VIMCO(), {}, ["kl_schedule", "word_dropout", "enumerated"]),
}


@pytest.mark.parametrize("what", SETTINGS_NAMED)
def test_remedies_are_settings_of_the_objective(what):
    objective, changes, expected = SETTINGS_NAMED[what]
    found = remedies(World(objective, **changes).task)
    assert len(found) == len(expected)
    for remedy, name in zip(found, expected, strict=True):
        assert name in remedy


def test_squared_norms_match_the_gradients():
    world = World()
    loss = EnumeratedELBO()(world.model, world.guide)(random_batch())
    loss.backward()
    callback = world.callback()
    world.look(callback)
    expected = [
        sum(p.grad.square().sum() for p in program.parameters() if p.grad is not None)
        for program in (world.guide, world.model)
    ]
    torch.testing.assert_close(callback.state_dict()["squares"], torch.stack(expected))


def sharpened(folder):
    """A run whose prior is far from every guide with small parameters."""
    run = pyro_align.load(copied(folder))
    with torch.no_grad():
        for parameter in run.model.networks.decoder.scorer.parameters():
            parameter *= 40
    save_weights(run.path / "weights.safetensors", run.programs, run._notes())
    return Run.load(run.path)


def test_a_complete_fit_warns_only_after_a_collapse(tmp_path, capsys):
    flat, sharp = Run.load(shared_run()), sharpened(tmp_path)
    capsys.readouterr()
    changes = {"training__learning_rate": 1e-30, "training__epochs": 4}
    for number, (start, guide, frozen, expected) in enumerate(
        [
            (flat, "amortized", False, 1),
            (flat, "prior", False, 0),
            (sharp, "amortized", True, 0),
        ]
    ):
        out = tmp_path / str(number)
        run = start.swap_guide(
            guide,
            objective="enumerated",
            freeze_model=frozen,
            out=out,
            echo=silent,
            **changes,
        )
        if start is flat:
            # Scores are nearly zero, so guide and prior are flat.
            with torch.no_grad():
                for program in run.programs.values():
                    for parameter in program.parameters():
                        parameter *= 0.01
        run.fit(echo=silent)
        assert len(warnings(capsys)) == expected, number


def test_no_warning_without_guide_parameters(tmp_path, capsys):
    for guide in ("prior", "exact", "none"):
        config = tiny_config(shared_corpus(), guide__name=guide, training__epochs=3, **STILL)
        fitted(config, tmp_path / guide)
        assert not warnings(capsys)
