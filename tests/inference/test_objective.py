"""Properties of every objective."""

from __future__ import annotations

import math

import pyro
import pytest
import torch
from pyro.infer import SVI
from support import (
    collected_gradient,
    gradient,
    padded,
    parameters,
    random_batch,
    repeated,
    tiny_guide,
    tiny_model,
)

from pyro_align.distributions import VocabularyCategorical
from pyro_align.errors import IncompatibleError
from pyro_align.guides import (
    AmortizedDirichletGuide,
    AmortizedGuide,
    ExactGuide,
    GumbelGuide,
    NoGuide,
    PriorGuide,
)
from pyro_align.inference import (
    VIMCO,
    EnumeratedELBO,
    ExactMarginal,
    GumbelSoftmaxELBO,
    ImportanceWeightedBound,
    Likelihood,
    RelaxedELBO,
    ReweightedWakeSleep,
    ScoreFunctionELBO,
)
from pyro_align.inference.importance import ImportanceObjective
from pyro_align.inference.pathwise import PathwiseELBO
from pyro_align.models import CategoricalModel, DirichletModel, SoftModel
from pyro_align.nn import ProductEmission, SparseProductEmission

METHODS = {
    "likelihood": (Likelihood, {}, SoftModel, NoGuide),
    "exact": (ExactMarginal, {}, CategoricalModel, NoGuide),
    "exact, with a guide": (ExactMarginal, {}, CategoricalModel, AmortizedGuide),
    "enumerated, prior": (EnumeratedELBO, {}, CategoricalModel, PriorGuide),
    "enumerated, amortized": (EnumeratedELBO, {}, CategoricalModel, AmortizedGuide),
    "sampled, prior": (ScoreFunctionELBO, {}, CategoricalModel, PriorGuide),
    "sampled, amortized": (ScoreFunctionELBO, {}, CategoricalModel, AmortizedGuide),
    "no baseline": (ScoreFunctionELBO, {"baseline": "none"}, CategoricalModel, AmortizedGuide),
    "4 samples": (ScoreFunctionELBO, {"samples": 4}, CategoricalModel, AmortizedGuide),
    "leave one out": (
        ScoreFunctionELBO,
        {"samples": 4, "baseline": "leave-one-out"},
        CategoricalModel,
        AmortizedGuide,
    ),
    "free bits": (ScoreFunctionELBO, {"free_bits": 0.1}, CategoricalModel, AmortizedGuide),
    "wake-sleep": (ReweightedWakeSleep, {}, CategoricalModel, AmortizedGuide),
    "importance": (ImportanceWeightedBound, {"samples": 2}, CategoricalModel, AmortizedGuide),
    "importance, prior": (ImportanceWeightedBound, {"samples": 2}, CategoricalModel, PriorGuide),
    "vimco": (VIMCO, {}, CategoricalModel, AmortizedGuide),
    "vimco, prior": (VIMCO, {"mean": "arithmetic"}, CategoricalModel, PriorGuide),
    "enumerated, exact": (EnumeratedELBO, {}, CategoricalModel, ExactGuide),
    "dirichlet": (RelaxedELBO, {}, DirichletModel, AmortizedDirichletGuide),
    "dirichlet, 3 samples": (RelaxedELBO, {"samples": 3}, DirichletModel, AmortizedDirichletGuide),
    "gumbel": (GumbelSoftmaxELBO, {}, CategoricalModel, GumbelGuide),
    "gumbel, 3 samples": (
        GumbelSoftmaxELBO,
        {"samples": 3, "free_bits": 0.1},
        CategoricalModel,
        GumbelGuide,
    ),
}


@pytest.fixture(params=METHODS)
def method(request):
    """Create objective, model and guide of a method."""
    objective, options, model_kind, guide_kind = METHODS[request.param]
    model = tiny_model(model_kind)
    return objective(**options), model, tiny_guide(model, guide_kind)


def seeded(function, *args):
    pyro.set_rng_seed(7)
    return function(*args)


@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
def test_the_three_loss_functions_agree(method, kl_weight):
    objective, model, guide = method
    if objective.weighs_kl:
        objective.kl_weight = kl_weight
    batch = random_batch()
    loss = seeded(objective.loss, model, guide, batch)
    differentiable = seeded(objective.differentiable_loss, model, guide, batch)
    expected = gradient(differentiable, model, guide)
    assert isinstance(loss, float)
    assert loss == differentiable.item()
    assert loss == seeded(objective.loss_and_grads, model, guide, batch)
    torch.testing.assert_close(collected_gradient(model, guide), expected)


def loss_and_gradient(objective, model, guide, batch):
    loss = seeded(objective.differentiable_loss, model, guide, batch)
    return loss, gradient(loss, model, guide)


@pytest.mark.parametrize("name", METHODS)
def test_product_emission_gives_the_same_loss_as_one_softmax(name, monkeypatch):
    """Compares the product emission with a softmax of the summed logits."""
    objective, options, model_kind, guide_kind = METHODS[name]
    model = tiny_model(model_kind, emission="product", lexical=True)
    guide = tiny_guide(model, guide_kind)
    batch = padded(random_batch(), source=2, target=1)

    ours = loss_and_gradient(objective(**options), model, guide, batch)
    product = ProductEmission.forward
    monkeypatch.setattr(ProductEmission, "forward", lambda *inputs: product(*inputs).joint)
    joint = loss_and_gradient(objective(**options), model, guide, batch)
    torch.testing.assert_close(ours, joint, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", METHODS)
def test_sparse_product_emission_gives_the_same_loss_as_all_logits(name, monkeypatch):
    """Compares the emission of candidates with logits of the whole vocabulary, written out."""
    objective, options, model_kind, guide_kind = METHODS[name]
    model = tiny_model(model_kind, emission="sparse-product", lexical=True)
    guide = tiny_guide(model, guide_kind)
    batch = padded(random_batch(), source=2, target=1)

    def written_out(emission, hidden, context):
        scores = (emission.gain * emission.query(hidden)) @ emission.weight.T + emission.bias
        listed = context.tokens.unsqueeze(-1) == torch.arange(len(emission.weight))
        factor = 1 + (listed * context.raised.unsqueeze(-1)).sum(-2)
        identity = torch.eye(len(emission.weight), dtype=scores.dtype)
        return VocabularyCategorical(scores + factor.log(), identity, torch.zeros_like(identity[0]))

    ours = loss_and_gradient(objective(**options), model, guide, batch)
    monkeypatch.setattr(SparseProductEmission, "forward", written_out)
    joint = loss_and_gradient(objective(**options), model, guide, batch)
    torch.testing.assert_close(ours, joint, rtol=1e-9, atol=1e-11)
    (of_table,) = torch.autograd.grad(ours[0], [model.networks.emission.table])
    assert of_table.abs().max() > 0


def test_gradients_are_accumulated(method):
    objective, model, guide = method
    batch = random_batch()
    seeded(objective.loss_and_grads, model, guide, batch)
    once = collected_gradient(model, guide)
    seeded(objective.loss_and_grads, model, guide, batch)
    seeded(objective.loss_and_grads, model, guide, batch)
    torch.testing.assert_close(collected_gradient(model, guide), 2 * once)


def test_terms_are_scalars_and_only_the_loss_has_a_gradient(method):
    objective, model, guide = method
    terms = objective.terms(model, guide, random_batch())
    for value in (terms.loss, terms.log_likelihood, terms.total_kl):
        assert type(value) is torch.Tensor
        assert value.shape == ()
    assert terms.loss.requires_grad
    assert not terms.log_likelihood.requires_grad
    assert not terms.total_kl.requires_grad
    if isinstance(objective, ImportanceObjective):
        assert math.isfinite(terms.loss.item())
    elif getattr(objective, "free_bits", 0) > 0:
        assert terms.loss > terms.total_kl - terms.log_likelihood
    else:
        torch.testing.assert_close(terms.loss.detach(), terms.total_kl - terms.log_likelihood)


def test_every_parameter_gets_a_gradient(method):
    objective, model, guide = method
    objective.loss_and_grads(model, guide, random_batch())
    assert all(p.grad is not None and p.grad.norm() > 0 for p in parameters(model, guide))


def test_padding_does_not_change_loss_or_gradient(method):
    objective, model, guide = method
    if isinstance(objective, ScoreFunctionELBO | ImportanceObjective | PathwiseELBO):
        # Samples differ between shapes, so only the KL divergence can be compared exactly.
        batch = random_batch()
        wide = padded(batch, source=2, target=3)
        kls = [objective.terms(model, guide, each).total_kl for each in (batch, wide)]
        torch.testing.assert_close(*kls, rtol=1e-10, atol=1e-12)
        return
    grads = []
    for batch in (random_batch(), padded(random_batch(), source=2, target=3)):
        loss = objective.differentiable_loss(model, guide, batch)
        grads.append((loss, gradient(loss, model, guide)))
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)


def test_stock_svi_computes_the_same_gradient(method):
    objective, model, guide = method
    batch = random_batch()
    expected_loss = seeded(objective.loss_and_grads, model, guide, batch)
    expected = collected_gradient(model, guide)
    before = torch.cat([p.detach().clone().reshape(-1) for p in parameters(model, guide)])
    svi = SVI(model, guide, pyro.optim.SGD({"lr": 1.0}), objective)
    assert seeded(svi.step, batch) == expected_loss
    after = torch.cat([p.detach().reshape(-1) for p in parameters(model, guide)])
    torch.testing.assert_close(before - after, expected)


def test_trains_as_a_module_with_a_torch_optimiser(method):
    objective, model, guide = method
    batch = repeated(random_batch(), 4)
    with pyro.settings.context(module_local_params=True):
        loss = objective(model, guide)
        optimiser = torch.optim.Adam(loss.parameters(), lr=0.1)
        values = []
        for _ in range(15):
            optimiser.zero_grad()
            value = loss(batch)
            value.backward()
            optimiser.step()
            values.append(value.item())
        assert not list(pyro.get_param_store())
    assert sum(values[-3:]) < 0.85 * sum(values[:3])


@pytest.mark.parametrize("local", [False, True])
def test_a_module_has_the_parameters_of_model_and_guide(method, local):
    objective, model, guide = method
    with pyro.settings.context(module_local_params=local):
        loss = objective(model, guide)
        assert {*map(id, loss.parameters())} == {*map(id, parameters(model, guide))}
        seeded(loss, random_batch()).backward()
    found = collected_gradient(model, guide)
    seeded(objective.loss_and_grads, model, guide, random_batch())
    torch.testing.assert_close(found, collected_gradient(model, guide))


@pytest.mark.parametrize(("sources", "targets"), [((1,), (1,)), ((4,), (3,)), ((2, 3), (1, 1))])
def test_small_batches(method, sources, targets):
    objective, model, guide = method
    assert math.isfinite(objective.loss_and_grads(model, guide, random_batch(sources, targets)))
    assert torch.isfinite(collected_gradient(model, guide)).all()


def test_with_one_source_position_every_bound_is_the_likelihood(method):
    """There is nothing to infer, and the KL divergence is zero."""
    objective, model, guide = method
    batch = random_batch((1, 1), (3, 2))
    terms = objective.terms(model, guide, batch)
    soft_model = SoftModel(model.networks)
    soft = Likelihood().terms(soft_model, NoGuide(soft_model), batch)
    assert terms.total_kl.item() == pytest.approx(0, abs=1e-12)
    free = batch.num_targets * getattr(objective, "free_bits", 0.0)
    torch.testing.assert_close(terms.loss.detach(), free - soft.log_likelihood)


WRONG = [
    (Likelihood, CategoricalModel, NoGuide),
    (Likelihood, SoftModel, AmortizedGuide),
    (ExactMarginal, SoftModel, NoGuide),
    (ExactMarginal, CategoricalModel, GumbelGuide),
    (EnumeratedELBO, CategoricalModel, NoGuide),
    (EnumeratedELBO, SoftModel, NoGuide),
    (ScoreFunctionELBO, SoftModel, AmortizedGuide),
    (ScoreFunctionELBO, CategoricalModel, NoGuide),
    (ReweightedWakeSleep, SoftModel, NoGuide),
    (ImportanceWeightedBound, CategoricalModel, NoGuide),
    (VIMCO, SoftModel, AmortizedGuide),
    (RelaxedELBO, CategoricalModel, AmortizedGuide),
    (RelaxedELBO, DirichletModel, NoGuide),
    (EnumeratedELBO, DirichletModel, AmortizedDirichletGuide),
    (GumbelSoftmaxELBO, CategoricalModel, AmortizedGuide),
    (ScoreFunctionELBO, CategoricalModel, GumbelGuide),
]


@pytest.mark.parametrize(("objective", "model_kind", "guide_kind"), WRONG)
def test_an_incompatible_pair_is_rejected(objective, model_kind, guide_kind):
    model = tiny_model(model_kind)
    guide = tiny_guide(model, guide_kind)
    with pytest.raises(IncompatibleError) as error:
        objective()(model, guide)
    message = str(error.value)
    for latent_model, latent_guide in objective.pairs:
        for what, kind in (("model", latent_model), ("guide", latent_guide)):
            latents = {} if kind == "none" else {"alignment": kind}
            assert f"{what} with latents = {latents}" in message
    for part in (objective, model_kind, guide_kind):
        assert part.__name__ in message


@pytest.mark.parametrize(("objective", "model_kind", "guide_kind"), WRONG)
def test_stock_svi_rejects_an_incompatible_pair(objective, model_kind, guide_kind):
    model = tiny_model(model_kind)
    guide = tiny_guide(model, guide_kind)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), objective())
    with pytest.raises(IncompatibleError):
        svi.step(random_batch())
