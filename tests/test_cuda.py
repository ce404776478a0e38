"""On a GPU: same results as the CPU, losses in fp32, no synchronisation in steps."""

from __future__ import annotations

import pyro
import pytest
import torch
from support import random_batch, tiny_guide, tiny_model

from pyro_align.config import TrainingConfig
from pyro_align.data.batch import EOS
from pyro_align.decoding import BeamSearch
from pyro_align.guides import AmortizedGuide, CorrectedPriorGuide, NoGuide, PriorGuide
from pyro_align.inference import EnumeratedELBO, ExactMarginal, Likelihood, score_positions
from pyro_align.models import CategoricalModel, SoftModel
from pyro_align.training import TrainingModule

pytestmark = pytest.mark.cuda

CASES = [
    (Likelihood, SoftModel, NoGuide),
    (ExactMarginal, CategoricalModel, NoGuide),
    (ExactMarginal, CategoricalModel, CorrectedPriorGuide),
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
    (ExactMarginal, CategoricalModel, CorrectedPriorGuide),
    (EnumeratedELBO, CategoricalModel, AmortizedGuide),
]


@pytest.mark.parametrize("emission", ["tanh", "product", "sparse-product"])
@pytest.mark.parametrize(("objective", "model_class", "guide_class"), WITHOUT_WAITING)
def test_a_step_does_not_synchronise_with_the_device(
    objective, model_class, guide_class, emission, no_waiting
):
    model = tiny_model(model_class, emission=emission, dropout=0.1).float().cuda()
    guide = tiny_guide(model, guide_class).float().cuda()
    task = TrainingModule(model, guide, objective(), TrainingConfig())
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


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_dropout_on_a_gpu_is_the_same_in_every_computation(cell):
    layers = {"encoder_layers": 2, "decoder_layers": 2}
    model = tiny_model(cell=cell, dropout=0.3, word_dropout=0.3, **layers).cuda().train()
    batch = random_batch().to("cuda")
    assert EnumeratedELBO().terms(model, PriorGuide(model), batch).total_kl == 0
    evidence = -ExactMarginal().loss(model, NoGuide(model), batch)
    scores = score_positions(model, PriorGuide(model), batch)
    assert scores.log_evidence.sum().item() == pytest.approx(evidence, rel=1e-9)
    other = batch.with_new_noise()
    assert -ExactMarginal().loss(model, NoGuide(model), other) != pytest.approx(evidence)


def test_noise_restores_the_generator_of_the_gpu():
    model, batch = tiny_model(dropout=0.3).cuda().train(), random_batch().to("cuda")
    torch.manual_seed(3)
    expected = torch.rand(4, device="cuda")
    torch.manual_seed(3)
    model.states(batch)
    assert torch.equal(torch.rand(4, device="cuda"), expected)


def test_a_search_on_a_gpu_finds_what_the_cpu_finds():
    sources = [[4, 5, 6, EOS], [7, EOS], [8, 4, EOS]]
    found = []
    for device in ("cpu", "cuda"):
        model = tiny_model(emission="product").to(device).eval()
        found.append(BeamSearch(model, beam=3, n_best=2).search(sources))
    for one, two in zip(*found, strict=True):
        assert [each.tokens for each in one] == [each.tokens for each in two]
        for cpu, gpu in zip(one, two, strict=True):
            assert cpu.log_probability == pytest.approx(gpu.log_probability)


def test_synchronisation_is_detected(no_waiting):
    value = torch.ones((), device="cuda")
    with pytest.raises(RuntimeError, match="synchronizing"):
        no_waiting(value.item)
