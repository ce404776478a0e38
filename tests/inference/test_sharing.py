"""What model, guide and baseline all need is computed once, and never wrongly reused."""

from __future__ import annotations

import pytest
import torch
from pyro.infer import SVI, TraceGraph_ELBO
from pyro.optim import Adam
from support import gradient, random_batch, tiny_guide, tiny_model

from pyro_align.guides import NoGuide, PriorGuide
from pyro_align.inference import (
    EnumeratedELBO,
    ExactMarginal,
    Likelihood,
    ScoreFunctionELBO,
    share_computation,
)
from pyro_align.inference.sharing import shared
from pyro_align.models import SoftModel


class Calls:
    """Number of forward passes of a module."""

    def __init__(self, module):
        self.count = 0
        module.register_forward_hook(self)

    def __call__(self, *_):
        self.count += 1


class Doubler:
    """Something with a shared method."""

    def __init__(self, factor):
        self.factor = factor
        self.calls = 0

    @shared
    def double(self, batch):
        self.calls += 1
        return 2 * self.factor * batch

    @shared
    def triple(self, batch):
        return 3 * self.factor * batch


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


def test_an_update_of_the_parameters_is_seen_by_the_next_step():
    model, batch = tiny_model(), random_batch()
    first = ExactMarginal().loss(model, NoGuide(model), batch)
    with torch.no_grad():
        model.networks.emission.bias[3] += 1
    assert ExactMarginal().loss(model, NoGuide(model), batch) != first


def test_a_result_without_graph_does_not_serve_a_caller_that_differentiates():
    model, batch = tiny_model(), random_batch()
    expected = gradient(model.states(batch).hidden.sum(), model)
    with share_computation():
        with torch.no_grad():
            without = model.states(batch)
            assert model.states(batch) is without
        with_graph = model.states(batch)
        assert model.states(batch) is with_graph
    assert not without.hidden.requires_grad
    torch.testing.assert_close(gradient(with_graph.hidden.sum(), model), expected)


def test_shared_within_a_scope_and_afresh_outside():
    doubler, batch = Doubler(1), torch.ones(2)
    doubler.double(batch)
    doubler.double(batch)
    assert doubler.calls == 2
    with share_computation():
        first = doubler.double(batch)
        with share_computation():
            assert doubler.double(batch) is first
        assert doubler.double(batch) is first
        assert doubler.calls == 3
    with share_computation():
        assert doubler.double(batch) is not first
    assert doubler.calls == 4


def test_objects_methods_and_batches_are_told_apart():
    one, ten = Doubler(1), Doubler(10)
    with share_computation():
        batch = torch.ones(())
        assert (one.double(batch), ten.double(batch), one.triple(batch)) == (2, 20, 3)
        # Temporaries of the same address are not the same batch.
        for value in range(20):
            assert one.double(torch.tensor(value)) == 2 * value


def test_a_scope_ends_with_an_error():
    doubler, batch = Doubler(1), torch.ones(2)

    def stopped():
        with share_computation():
            doubler.double(batch)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    doubler.double(batch)
    assert doubler.calls == 2


def test_a_stock_elbo_computes_afresh():
    model = tiny_model()
    calls = Calls(model.networks.encoder)
    svi = SVI(model, PriorGuide(model), Adam({"lr": 0.01}), TraceGraph_ELBO())
    svi.step(random_batch())
    assert calls.count == 2
