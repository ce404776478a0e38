"""Predicted baselines, in this package's objective and in stock TraceGraph_ELBO."""

from __future__ import annotations

import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, TraceGraph_ELBO
from pyro.optim import Adam
from support import (
    assert_unbiased,
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

from pyro_align.distributions import token_subset
from pyro_align.guides import AmortizedGuide, PriorGuide
from pyro_align.inference import EnumeratedELBO, ScoreFunctionELBO, SoftAttentionBaseline
from pyro_align.models import SoftModel


def stock_draws(model, guide, batch, rows=200):
    """Independent gradients of stock ``TraceGraph_ELBO``."""
    elbo, many, grads = TraceGraph_ELBO(max_plate_nesting=2), repeated(batch, rows), []
    for _ in range(24):
        elbo.loss_and_grads(model, guide, many)
        grads.append(collected_gradient(model, guide) / rows)
    return torch.stack(grads)


def test_soft_attention_baseline_is_the_log_likelihood_of_soft_attention():
    model, batch = tiny_model(), padded(random_batch(), source=1, target=2)
    handled = SoftAttentionBaseline().handle(model, PriorGuide(model))
    site = poutine.trace(handled).get_trace(batch).nodes["alignment"]
    value = site["infer"]["baseline"]["baseline_value"]
    soft = poutine.trace(SoftModel(model.networks)).get_trace(batch)
    soft.compute_log_prob()
    torch.testing.assert_close(value, soft.nodes["tokens"]["log_prob"])
    assert (value[~batch.target_mask] == 0).all()
    assert not value.requires_grad


@pytest.mark.parametrize("emission", ["tanh", "product", "sparse-product"])
def test_a_large_vocabulary_is_estimated_from_a_few_tokens(emission, monkeypatch):
    vocabulary = 3000
    model = randomise(tiny_model(vocabulary=vocabulary, emission=emission), scale=0.3)
    batch = random_batch()
    estimated = SoftAttentionBaseline().value(model, batch)
    monkeypatch.setattr(token_subset, "OTHERS", vocabulary)
    exact = SoftAttentionBaseline().value(model, batch)
    assert not torch.equal(estimated, exact)
    torch.testing.assert_close(estimated, exact, atol=0.2, rtol=0)


def test_the_baseline_does_not_change_the_guide():
    model, batch = tiny_model(), random_batch()
    guide = tiny_guide(model)
    trace = poutine.trace(SoftAttentionBaseline().handle(model, guide)).get_trace(batch)
    plain = poutine.trace(guide).get_trace(batch)
    assert torch.equal(trace.nodes["alignment"]["fn"].logits, plain.nodes["alignment"]["fn"].logits)
    assert "baseline" in trace.nodes["alignment"]["infer"]
    assert "baseline" not in plain.nodes["alignment"]["infer"]


@pytest.mark.parametrize("kind", [AmortizedGuide, PriorGuide])
@pytest.mark.parametrize("handled", [False, True])
def test_stock_tracegraph_is_unbiased_for_model_and_guide(kind, handled):
    """Includes the model's gradient, which provenance tracking of the alignment could cut."""
    model, batch = tiny_model(), random_batch((3, 2), (2, 3))
    guide = tiny_guide(model, kind)
    expected = gradient(EnumeratedELBO().differentiable_loss(model, guide, batch), model, guide)
    assert gradient(EnumeratedELBO().differentiable_loss(model, guide, batch), model).norm() > 0.1
    program = SoftAttentionBaseline().handle(model, guide) if handled else guide
    assert_unbiased(stock_draws(model, program, batch), expected)


def test_the_baseline_reduces_the_variance_of_stock_tracegraph():
    model = tiny_model()
    guide, many = tiny_guide(model), repeated(random_batch((3,), (3,)), 2000)
    elbo = TraceGraph_ELBO(max_plate_nesting=2)
    plain, handled = (
        row_variance(elbo, model, program, many, guide.bilinear)
        for program in (guide, SoftAttentionBaseline().handle(model, guide))
    )
    assert handled < 0.1 * plain


@pytest.mark.parametrize(
    ("sources", "targets"), [((1,), (1,)), ((3,), (4,)), ((3, 2), (1, 1)), ((3, 2), (4, 2))]
)
@pytest.mark.parametrize("samples", [1, 2])
def test_any_batch_shape_after_another(sources, targets, samples):
    model = tiny_model()
    guide, batch = tiny_guide(model), random_batch(sources, targets)
    for many in (batch, repeated(batch, 3)):
        ScoreFunctionELBO(samples=samples).loss_and_grads(model, guide, many)
        stock = TraceGraph_ELBO(
            max_plate_nesting=2, num_particles=samples, vectorize_particles=samples > 1
        )
        stock.loss_and_grads(model, SoftAttentionBaseline().handle(model, guide), many)
        assert torch.isfinite(collected_gradient(model, guide)).all()


def test_the_baseline_trains_with_stock_svi():
    model = tiny_model()
    guide = tiny_guide(model)
    batch = repeated(random_batch(), 4)
    svi = SVI(
        model, SoftAttentionBaseline().handle(model, guide), Adam({"lr": 0.1}), TraceGraph_ELBO()
    )
    losses = [svi.step(batch) for _ in range(25)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
