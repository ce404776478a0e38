"""What must hold on a GPU: the CPU's results, losses in fp32, and no step that waits for it."""

from __future__ import annotations

import pyro
import pytest
import torch
from support import random_batch, tiny_guide, tiny_model

from pyro_align.config import TrainingConfig
from pyro_align.guides import AmortizedGuide, NoGuide
from pyro_align.inference import EnumeratedELBO, ExactMarginal, Likelihood
from pyro_align.models import CategoricalModel, SoftModel
from pyro_align.training import AlignmentTask

pytestmark = pytest.mark.cuda

CASES = [
    (Likelihood, SoftModel, NoGuide),
    (ExactMarginal, CategoricalModel, NoGuide),
    (EnumeratedELBO, CategoricalModel, AmortizedGuide),
]


def loss_and_gradients(objective, model, guide, batch):
    parameters = [*model.parameters(), *guide.parameters()]
    loss = objective()(model, guide)(batch)
    return loss, torch.autograd.grad(loss, parameters, allow_unused=True)


@pytest.mark.parametrize(("objective", "model_class", "guide_class"), CASES)
def test_loss_and_gradients_are_those_of_the_cpu(objective, model_class, guide_class):
    batch = random_batch()
    model = tiny_model(model_class)
    guide = tiny_guide(model, guide_class)
    expected, slopes = loss_and_gradients(objective, model, guide, batch)
    model.cuda()
    guide.cuda()
    loss, found = loss_and_gradients(objective, model, guide, batch.to("cuda"))
    torch.testing.assert_close(loss.cpu(), expected)
    for slope, other in zip(slopes, found, strict=True):
        assert (slope is None) == (other is None)
        if slope is not None:
            torch.testing.assert_close(other.cpu(), slope)


@pytest.mark.parametrize(("objective", "model_class", "guide_class"), CASES)
def test_under_bf16_autocast_the_loss_is_fp32_and_close(objective, model_class, guide_class):
    batch = random_batch().to("cuda")
    model = tiny_model(model_class).float().cuda()
    guide = tiny_guide(model, guide_class).float().cuda()
    exact = objective()(model, guide)(batch)
    with torch.autocast("cuda", torch.bfloat16):
        rounded = objective()(model, guide)(batch)
    assert rounded.dtype == torch.float32
    # A product in bf16 has a relative error of 2^-8 at most, and a handful are chained.
    torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0.1)


@pytest.fixture
def no_waiting():
    """An error wherever the host waits for the device, but for the first of what it does twice."""

    def twice(function):
        function()
        torch.cuda.set_sync_debug_mode("error")
        function()
        torch.cuda.set_sync_debug_mode("default")

    yield twice
    torch.cuda.set_sync_debug_mode("default")


WITHOUT_WAITING = [
    (Likelihood, SoftModel, NoGuide),
    (ExactMarginal, CategoricalModel, AmortizedGuide),
    (EnumeratedELBO, CategoricalModel, AmortizedGuide),
]


@pytest.mark.parametrize("emission", ["tanh", "product"])
@pytest.mark.parametrize(("objective", "model_class", "guide_class"), WITHOUT_WAITING)
def test_a_step_never_waits_for_the_device(
    objective, model_class, guide_class, emission, no_waiting
):
    model = tiny_model(model_class, emission=emission).float().cuda()
    guide = tiny_guide(model, guide_class).float().cuda()
    task = AlignmentTask(model, guide, objective(), TrainingConfig())
    optimizer = task.configure_optimizers()["optimizer"]
    pinned = random_batch().pin_memory()

    def step():
        batch = task.transfer_batch_to_device(pinned, torch.device("cuda"), 0)
        with pyro.validation_enabled(False), pyro.settings.context(module_local_params=True):
            loss = task.objective.terms(model, guide, batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()

    no_waiting(step)


def test_what_waits_is_found(no_waiting):
    value = torch.ones((), device="cuda")
    with pytest.raises(RuntimeError, match="synchronizing"):
        no_waiting(value.item)
