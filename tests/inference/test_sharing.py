"""Shared results are computed once, and sharing does not change any value."""

from __future__ import annotations

import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, TraceEnum_ELBO, TraceGraph_ELBO, config_enumerate
from pyro.optim import Adam
from support import gradient, random_batch, randomise, tiny_guide, tiny_model
from torch import nn
from torch.distributions import kl_divergence

from pyro_align.guides import (
    AmortizedGuide,
    NoGuide,
    PosteriorMixtureGuide,
    PriorGuide,
    TransformerGuide,
)
from pyro_align.inference import (
    EnumeratedELBO,
    ExactMarginal,
    Likelihood,
    ScoreFunctionELBO,
    score_positions,
    shared,
)
from pyro_align.models import SoftModel


class Calls:
    """Number of forward passes of a module."""

    def __init__(self, module):
        self.count = 0
        module.register_forward_hook(self)

    def __call__(self, *_):
        self.count += 1


class Doubler(nn.Module):
    """A module with shared methods."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.calls = 0

    @shared
    def double(self, batch):
        self.calls += 1
        return 2 * self.factor * batch.target

    @shared
    def triple(self, batch):
        return 3 * self.factor * batch.target

    @shared
    def noise(self, batch):
        return torch.rand(3)


@pytest.mark.parametrize(
    "objective",
    [
        EnumeratedELBO(),
        ScoreFunctionELBO(baseline="none"),
        ScoreFunctionELBO(),
        ScoreFunctionELBO(samples=3),
    ],
    ids=["enumerated", "no baseline", "baseline", "samples"],
)
@pytest.mark.parametrize("amortized", [True, False])
def test_an_objective_runs_the_networks_once(objective, amortized):
    model = tiny_model()
    guide = tiny_guide(model) if amortized else PriorGuide(model)
    encoder, decoder = Calls(model.networks.encoder), Calls(model.networks.decoder)
    inference = Calls(guide.source_network if amortized else model.networks.encoder)
    for step in range(1, 4):
        objective.loss_and_grads(model, guide, random_batch(seed=step))
        assert encoder.count == decoder.count == inference.count == step


def test_other_objectives_run_the_networks_once():
    for objective, model in (
        (ExactMarginal(), tiny_model()),
        (Likelihood(), tiny_model(SoftModel)),
    ):
        calls = Calls(model.networks.encoder)
        objective.loss_and_grads(model, NoGuide(model), random_batch())
        assert calls.count == 1


def test_the_next_step_uses_updated_parameters():
    model, batch = tiny_model(), random_batch()
    first = ExactMarginal().loss(model, NoGuide(model), batch)
    with torch.no_grad():
        model.networks.emission.bias[3] += 1
    assert ExactMarginal().loss(model, NoGuide(model), batch) != first


def test_a_result_without_graph_is_not_reused_with_gradients():
    model, batch = tiny_model(), random_batch().sharing()
    expected = gradient(model.states(random_batch()).hidden.sum(), model)
    with torch.no_grad():
        without = model.states(batch)
        assert model.states(batch) is without
    with_graph = model.states(batch)
    assert model.states(batch) is with_graph
    assert not without.hidden.requires_grad
    torch.testing.assert_close(gradient(with_graph.hidden.sum(), model), expected)


def test_only_a_sharing_batch_caches_results():
    doubler, batch = Doubler(1), random_batch()
    assert doubler.double(batch) is not doubler.double(batch)
    shared_batch = batch.sharing()
    assert doubler.double(shared_batch) is doubler.double(shared_batch.sharing())
    assert doubler.calls == 3
    assert doubler.double(batch.sharing()) is not doubler.double(shared_batch)
    assert doubler.calls == 4


def test_results_are_cached_per_object_and_method():
    one, ten, batch = Doubler(1), Doubler(10), random_batch().sharing()
    for module, factor in ((one, 1), (ten, 10)):
        assert torch.equal(module.double(batch), 2 * factor * batch.target)
        assert torch.equal(module.triple(batch), 3 * factor * batch.target)


def test_a_stock_elbo_recomputes():
    model = tiny_model()
    calls = Calls(model.networks.encoder)
    svi = SVI(model, PriorGuide(model), Adam({"lr": 0.01}), TraceGraph_ELBO())
    svi.step(random_batch())
    assert calls.count == 2


def test_noise_belongs_to_the_batch():
    module, batch = Doubler(1), random_batch()
    first = module.noise(batch)
    assert torch.equal(module.noise(batch), first)
    assert torch.equal(module.noise(batch.to("cpu")), first)
    assert not torch.equal(module.noise(batch.with_new_noise()), first)
    assert not torch.equal(module.noise(random_batch()), first)
    module.eval()
    assert not torch.equal(module.noise(batch), module.noise(batch))


def test_noise_does_not_use_the_global_generator():
    module, batch = Doubler(1), random_batch()
    module.noise(batch)
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    module.noise(batch)
    assert torch.equal(torch.rand(2), expected)


def test_noise_is_determined_by_the_seed():
    module = Doubler(1)
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(module.noise(random_batch()))
    assert torch.equal(*drawn)


DROPOUT = {"dropout": 0.3, "word_dropout": 0.3, "encoder_layers": 2, "decoder_layers": 2}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_dropout_is_the_same_for_every_caller(cell):
    model, batch = tiny_model(cell=cell, **DROPOUT).train(), random_batch()
    guide = PriorGuide(model)
    quiet = tiny_model(cell=cell, **DROPOUT).eval()
    # Dropout is active.
    assert ExactMarginal().loss(quiet, NoGuide(quiet), batch) != pytest.approx(
        ExactMarginal().loss(model, NoGuide(model), batch)
    )
    assert EnumeratedELBO().terms(model, guide, batch).total_kl == 0
    by_stock = TraceEnum_ELBO(max_plate_nesting=2).loss(model, config_enumerate(guide), batch)
    assert EnumeratedELBO().loss(model, guide, batch) == pytest.approx(by_stock, rel=1e-12)
    evidence = -ExactMarginal().loss(model, NoGuide(model), batch)
    scores = score_positions(model, guide, batch)
    assert scores.log_evidence.sum().item() == pytest.approx(evidence, rel=1e-12)
    assert (scores.kl.abs() < 1e-12).all()
    model_trace, guide_trace = (poutine.trace(each).get_trace(batch) for each in (model, guide))
    divergence = kl_divergence(
        guide_trace.nodes["alignment"]["fn"], model_trace.nodes["alignment"]["fn"]
    )
    assert (divergence.abs() < 1e-12).all()


@pytest.mark.parametrize("kind", [AmortizedGuide, PosteriorMixtureGuide, TransformerGuide])
def test_bound_is_below_the_evidence_with_dropout(kind):
    model, batch = tiny_model(**DROPOUT).train(), random_batch()
    options = {"size": 8} if kind is TransformerGuide else {"hidden": 4}
    guide = randomise(kind(model, **options), 1).train()
    bound, evidence = (
        -ELBO().loss(model, each, batch)
        for ELBO, each in ((EnumeratedELBO, guide), (ExactMarginal, NoGuide(model)))
    )
    scores = score_positions(model, guide, batch)
    assert bound < evidence
    # The KL divergence of the guide from the exact posterior, computed separately.
    assert scores.gap.sum().item() == pytest.approx(evidence - bound, rel=1e-10)
    assert (scores.gap > -1e-12).all()


def test_dropout_changes_from_batch_to_batch():
    model = tiny_model(**DROPOUT).train()
    losses = {ExactMarginal().loss(model, NoGuide(model), random_batch()) for _ in range(5)}
    assert len(losses) == 5
