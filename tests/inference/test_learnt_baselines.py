"""Learnt baselines: what they predict, how they are trained, and that a run resumes them."""

from __future__ import annotations

import copy

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, TraceGraph_ELBO
from support import (
    collected_gradient,
    gradient,
    padded,
    random_batch,
    randomise,
    repeated,
    row_variance,
    tiny_guide,
    tiny_model,
)
from tables import SOURCE, World

from pyro_align.errors import IncompatibleError
from pyro_align.guides import PriorGuide
from pyro_align.inference import (
    AverageBaseline,
    EnumeratedELBO,
    NetworkBaseline,
    ScoreFunctionELBO,
)
from pyro_align.inference.baselines import Prediction
from pyro_align.inference.network_baseline import REGRESSION_WEIGHT

LEARNING = ["average", "network"]


def programs():
    model = tiny_model()
    return model, tiny_guide(model)


def objective(name, model, samples=1):
    """Create an objective whose baseline is not in its initial state."""
    made = ScoreFunctionELBO(baseline=name, samples=samples)
    randomise(made.module(model), scale=0.5)
    average = made.baseline if name == "average" else made.baseline.average
    average.average.fill_(-2.0)
    average.steps.fill_(3)
    return made


def seeded(function, *args):
    pyro.set_rng_seed(7)
    return function(*args)


def test_average_is_the_mean_of_the_previous_costs():
    model, guide = programs()
    elbo, means = ScoreFunctionELBO(baseline="average", samples=2), []
    for seed, targets in enumerate([(4, 2, 3), (1,), (2, 2), (5, 1)]):
        batch = padded(random_batch((2,) * len(targets), targets, seed=seed), target=seed)
        terms = elbo.terms(model, guide, batch)
        # The cost of a position is the log likelihood of its token.
        means.append(terms.log_likelihood.item() / batch.num_targets)
        assert elbo.baseline.average.item() == pytest.approx(sum(means) / len(means), rel=1e-5)


def test_average_decays_beyond_its_horizon():
    average, mask = AverageBaseline(horizon=2), torch.ones(1, 1, dtype=torch.bool)
    expected = 0.0
    for step, cost in enumerate([4.0, 2.0, 6.0, -1.0]):
        left = torch.full((1, 1, 1), cost) - average.average
        assert average(left, mask) is left
        expected += (cost - expected) / min(step + 1, 2)
        assert average.average.item() == pytest.approx(expected)


@pytest.mark.parametrize("name", LEARNING)
def test_baseline_is_not_updated_without_gradients(name):
    model, guide = programs()
    elbo = objective(name, model)
    before = copy.deepcopy(elbo.baseline.state_dict())
    elbo.loss(model, guide, random_batch())
    torch.testing.assert_close(elbo.baseline.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("samples", [1, 3])
def test_the_average_before_the_step_is_subtracted(samples):
    batch = random_batch((SOURCE, SOURCE), (3, 2))
    world = World(*batch.target.shape)
    plain = ScoreFunctionELBO(baseline="none", samples=samples)
    averaged = ScoreFunctionELBO(baseline="average", samples=samples)
    averaged.baseline.average.fill_(-2.0)
    losses = [
        seeded(each.differentiable_loss, world.model, world.guide, batch)
        for each in (plain, averaged)
    ]
    guide = pyro.plate("samples", samples, dim=-3)(world.guide) if samples > 1 else world.guide
    trace = seeded(poutine.trace(guide).get_trace, batch)
    score = trace.log_prob_sum() / samples
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(
        torch.autograd.grad(losses[1] - losses[0], world.posterior),
        torch.autograd.grad(-2.0 * score, world.posterior),
    )


@pytest.mark.parametrize("name", LEARNING)
def test_the_three_loss_functions_agree(name):
    model, guide = programs()
    first, batch = objective(name, model), random_batch()
    second, third = copy.deepcopy(first), copy.deepcopy(first)
    loss = seeded(first.loss, model, guide, batch)
    differentiable = seeded(second.differentiable_loss, model, guide, batch)
    expected = gradient(differentiable, model, guide, second.baseline)
    assert loss == differentiable.item()
    assert loss == seeded(third.loss_and_grads, model, guide, batch)
    torch.testing.assert_close(collected_gradient(model, guide, third.baseline), expected)


@pytest.mark.parametrize("samples", [1, 3])
def test_the_network_regresses_the_cost_without_affecting_other_gradients(samples):
    """Its gradient is that of the squared error; for model and guide it is a constant."""
    model, guide = programs()
    batch = padded(random_batch(), target=1)
    learnt = objective("network", model, samples)
    value = learnt.baseline.value(model, batch)
    errors = []
    learnt.baseline.register_forward_hook(lambda _, inputs, output: errors.append(output))
    loss = seeded(learnt.differentiable_loss, model, guide, batch)

    class Constant(Prediction):
        def value(self, *_):
            return value.detach()

    constant = ScoreFunctionELBO(baseline="none", samples=samples)
    constant.baseline = Constant()
    expected = seeded(constant.differentiable_loss, model, guide, batch)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient(loss, model, guide), gradient(expected, model, guide))

    (left,) = errors
    assert (left[:, ~batch.target_mask] == 0).all()
    assert (left[:, batch.target_mask] != 0).all()
    cost = (left + value).detach()
    network = learnt.baseline.network
    embedded = model.networks.target_embedding(batch.target)
    prediction = -2 + network(torch.cat([model.states(batch).hidden, embedded], dim=-1))
    error = ((cost - prediction).square() * batch.target_mask).sum() / samples
    expected = REGRESSION_WEIGHT * gradient(error, network)
    torch.testing.assert_close(gradient(loss, network), expected)
    assert gradient(value.sum(), model, guide).norm() == 0


def trained(model, guide, batch, *, stock=False):
    """Fit a baseline with ``SVI`` while model and guide are fixed."""
    elbo = ScoreFunctionELBO(baseline="network")
    own = set(elbo.module(model).parameters())
    optimiser = pyro.optim.Adam(
        lambda name: {"lr": 0.05 if name.startswith("CostNetwork") else 0.0}
    )
    if stock:
        loss, program = TraceGraph_ELBO(max_plate_nesting=2), elbo.baseline.handle(model, guide)
    else:
        loss, program = elbo, guide
    svi = SVI(model, program, optimiser, loss)
    before = [parameter.detach().clone() for parameter in own]
    for _ in range(60):
        svi.step(batch)
    assert all(not torch.equal(*pair) for pair in zip(own, before, strict=True))
    return elbo


@pytest.mark.parametrize("stock", [False, True])
def test_the_network_trains_with_svi_and_reduces_the_variance(stock):
    model, guide = programs()
    many = repeated(random_batch((3,), (3,)), 500)
    elbo = trained(model, guide, repeated(random_batch((3,), (3,)), 8), stock=stock)
    average = ScoreFunctionELBO(baseline="average")
    average.loss_and_grads(model, guide, many)
    collected_gradient(model, guide)
    without, with_average, with_network = (
        row_variance(each, model, guide, many, guide.bilinear)
        for each in (ScoreFunctionELBO(baseline="none"), average, elbo)
    )
    assert with_network < 0.6 * with_average < 0.6 * without


@pytest.mark.parametrize("name", LEARNING)
def test_baseline_parameters_belong_to_the_loss_module_only(name):
    model, guide = programs()
    elbo = objective(name, model)
    loss = elbo(model, guide)
    own = {id(each) for each in (*elbo.baseline.parameters(), *elbo.baseline.buffers())}
    assert own
    assert own <= {id(each) for each in (*loss.parameters(), *loss.buffers())}
    for program in (model, guide):
        assert not own & {id(each) for each in (*program.parameters(), *program.buffers())}
    assert {"objective.average", "objective.average.average"} & set(loss.state_dict())


@pytest.mark.parametrize("name", LEARNING)
def test_a_resumed_run_continues_bit_for_bit(name):
    model, guide = programs()
    shapes = [(4, 2, 3), (1, 2, 2), (3, 3, 5)]
    batches = 2 * [random_batch(target_lengths=shape) for shape in shapes]

    def start():
        pair = copy.deepcopy((model, guide))
        elbo = ScoreFunctionELBO(baseline=name)
        loss = elbo(*pair)
        return loss, torch.optim.Adam(loss.parameters(), lr=0.01)

    def go(loss, optimiser, batches):
        values = []
        for batch in batches:
            optimiser.zero_grad()
            value = loss(batch)
            value.backward()
            optimiser.step()
            values.append(value.item())
        return values

    whole, optimiser = start()
    go(whole, optimiser, batches[:3])
    saved = copy.deepcopy((whole.state_dict(), optimiser.state_dict(), torch.get_rng_state()))
    expected = go(whole, optimiser, batches[3:])

    torch.randn(5)
    resumed, optimiser = start()
    resumed.load_state_dict(saved[0])
    optimiser.load_state_dict(saved[1])
    torch.set_rng_state(saved[2])
    assert go(resumed, optimiser, batches[3:]) == expected
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("name", LEARNING)
def test_any_batch_shape_after_another(name, samples):
    model, guide = programs()
    elbo = ScoreFunctionELBO(baseline=name, samples=samples)
    stock = TraceGraph_ELBO(
        max_plate_nesting=2, num_particles=samples, vectorize_particles=samples > 1
    )
    for sources, targets in [((1,), (1,)), ((3,), (4,)), ((3, 2), (1, 1)), ((3, 2), (4, 2))]:
        batch = random_batch(sources, targets)
        elbo.loss_and_grads(model, guide, batch)
        stock.loss_and_grads(model, elbo.baseline.handle(model, guide), batch)
        assert torch.isfinite(collected_gradient(model, guide, elbo.baseline)).all()


def test_network_baseline_rejects_a_model_without_its_attributes():
    world = World(1, 3)
    with pytest.raises(IncompatibleError, match=r"NetworkBaseline needs.*use another baseline"):
        ScoreFunctionELBO(baseline="network")(world.model, world.guide)


def test_network_baseline_under_autocast_predicts_in_fp32():
    # A CPU without bf16 instructions has no bf16 LSTM, but every CPU has the GRU.
    model, batch = tiny_model(cell="gru").float(), repeated(random_batch(), 300)
    elbo = ScoreFunctionELBO(baseline="network")
    with torch.autocast("cpu", torch.bfloat16):
        loss = elbo.differentiable_loss(model, PriorGuide(model), batch)
        assert elbo.baseline.value(model, batch).dtype == torch.float32
    assert loss.dtype == torch.float32
    expected = EnumeratedELBO().loss(model, PriorGuide(model), random_batch())
    assert loss.item() / 300 == pytest.approx(expected, rel=0.05)


def test_network_is_created_once_deterministically_in_the_models_precision():
    model, guide = programs()
    baseline, another = NetworkBaseline(), NetworkBaseline()
    state = torch.get_rng_state()
    baseline.prepare(model)
    assert torch.equal(torch.get_rng_state(), state)
    torch.randn(3)
    another.prepare(model)
    torch.testing.assert_close(another.state_dict(), baseline.state_dict(), rtol=0, atol=0)
    network = baseline.network
    baseline.handle(model, guide)
    assert baseline.network is network
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float64}
