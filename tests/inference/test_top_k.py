"""The top-K marginal against hand-written sums and the log evidence."""

from __future__ import annotations

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI
from support import evidence, gradient, padded, random_batch, tiny_model

from pyro_align.errors import ConfigError
from pyro_align.guides import NoGuide
from pyro_align.inference import ExactMarginal, TopKMarginal


def terms(model, batch, k):
    return TopKMarginal(k=k).terms(model, NoGuide(model), batch)


def by_hand(model, batch, k):
    """Log of the sum over the K most probable positions, and the prior mass of the others."""
    states = model.states(batch)
    totals, left_out = [], []
    for b in range(len(batch)):
        for t in range(int(batch.target_lengths[b])):
            prior = states.scores[b, t, : batch.source_lengths[b]].softmax(-1)
            best = prior.argsort(descending=True)[:k].tolist()
            total = 0.0
            for s in best:
                emission = model.emission(states, torch.tensor([[s]]))
                total = total + prior[s] * emission.probs[b, t, batch.target[b, t]]
            totals.append(total)
            left_out.append(1 - prior[best].sum())
    return torch.stack(totals), torch.stack(left_out)


@pytest.mark.parametrize("emission", ["tanh", "product", "sparse-product"])
@pytest.mark.parametrize("k", [1, 2, 3, 9])
def test_equals_the_sum_over_the_k_most_probable(k, emission):
    model = tiny_model(emission=emission)
    batch = padded(random_batch(), source=2, target=1)
    found, expected = terms(model, batch, k), by_hand(model, batch, k)[0].log().sum()
    torch.testing.assert_close(-found.loss, expected)
    torch.testing.assert_close(-gradient(found.loss, model), gradient(expected, model))
    torch.testing.assert_close(found.log_likelihood, expected.detach())
    assert found.total_kl == 0


@pytest.mark.parametrize("seed", range(5))
def test_bounds_the_evidence_from_below_with_a_known_gap(seed):
    model, batch = tiny_model(seed=seed), random_batch(seed=seed)
    exact = evidence(model, batch).item()
    bounds = [-terms(model, batch, k).loss.item() for k in (1, 2, 3, 4)]
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[1] < exact + 1e-9
    assert bounds[-1] == pytest.approx(exact)
    for k in (1, 2):
        counted, left_out = by_hand(model, batch, k)
        assert exact <= (counted + left_out).log().sum().item()


def test_k_of_all_positions_is_the_exact_marginal():
    model, batch = tiny_model(), padded(random_batch(), source=1)
    exact = ExactMarginal().terms(model, NoGuide(model), batch)
    ours = terms(model, batch, batch.source.shape[1])
    torch.testing.assert_close(ours.loss, exact.loss)
    torch.testing.assert_close(gradient(ours.loss, model), gradient(exact.loss, model))


def test_poutine_scale_scales_the_bound():
    model, batch = tiny_model(), random_batch()
    loss = terms(model, batch, 2).loss
    scaled = poutine.scale(model, scale=3.0)
    seven = TopKMarginal(k=2).differentiable_loss(scaled, NoGuide(model), batch)
    torch.testing.assert_close(seven, 3 * loss)


def test_stock_svi_with_validation():
    model, batch = tiny_model(), random_batch()
    with pyro.validation_enabled(True):
        svi = SVI(model, NoGuide(model), pyro.optim.Adam({"lr": 0.01}), TopKMarginal(k=2))
        losses = [svi.step(batch) for _ in range(5)]
    assert losses[-1] < losses[0]


def test_k_below_one_is_rejected():
    with pytest.raises(ConfigError, match="1 or more, got 0"):
        TopKMarginal(k=0)
