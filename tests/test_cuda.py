"""What must hold on a GPU: the CPU's results, and half precision that stops before the loss."""

from __future__ import annotations

import pytest
import torch
from support import random_batch, tiny_guide, tiny_model

from pyro_align.guides import AmortizedGuide, NoGuide
from pyro_align.inference import EnumeratedELBO, ExactMarginal, Likelihood
from pyro_align.models import CategoricalModel, SoftModel

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
