"""The enumerated ELBO against stock Pyro, hand-written sums and the log evidence."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import TraceEnum_ELBO, config_enumerate
from support import evidence, gradient, padded, random_batch, tiny_guide, tiny_model

from pyro_align.guides import AmortizedGuide, PriorGuide
from pyro_align.inference import EnumeratedELBO
from pyro_align.inference.plates import alignment_plates

GUIDES = [PriorGuide, AmortizedGuide]


def objective(kl_weight=1.0):
    elbo = EnumeratedELBO()
    elbo.kl_weight = kl_weight
    return elbo


def parts(model, guide, batch):
    """``E_q[log p(y | z)]`` and ``KL(q ‖ p)`` of a batch, position by position."""
    states = model.states(batch)
    q_scores = guide.scores(batch) if isinstance(guide, AmortizedGuide) else states.scores
    likelihood = divergence = torch.zeros((), dtype=torch.float64)
    for b in range(len(batch)):
        length = int(batch.source_lengths[b])
        for t in range(int(batch.target_lengths[b])):
            q = q_scores[b, t, :length].log_softmax(-1)
            p = states.scores[b, t, :length].log_softmax(-1)
            emission = model.networks.emission(
                states.hidden[b, t], states.memory.values[b, :length]
            )
            log_prob = emission.logits[:, batch.target[b, t]]
            likelihood = likelihood + (q.exp() * log_prob).sum()
            divergence = divergence + (q.exp() * (q - p)).sum()
    return likelihood, divergence


@pytest.mark.parametrize("kind", GUIDES)
@pytest.mark.parametrize("feeding", [False, True])
def test_equals_stock_enumeration(kind, feeding):
    model = tiny_model(input_feeding=feeding)
    guide, batch = tiny_guide(model, kind), padded(random_batch(), source=2, target=1)
    stock = TraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(
        model, config_enumerate(guide), batch
    )
    ours = objective().differentiable_loss(model, guide, batch)
    torch.testing.assert_close(ours, stock, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        gradient(ours, model, guide), gradient(stock, model, guide), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("kind", GUIDES)
@pytest.mark.parametrize("kl_weight", [1.0, 0.3, 0.0])
def test_equals_the_hand_written_sum(kind, kl_weight):
    model = tiny_model()
    guide, batch = tiny_guide(model, kind), padded(random_batch(), source=1, target=1)
    likelihood, divergence = parts(model, guide, batch)
    terms = objective(kl_weight).terms(model, guide, batch)
    torch.testing.assert_close(terms.log_likelihood, likelihood.detach())
    torch.testing.assert_close(terms.total_kl, divergence.detach())
    expected = kl_weight * divergence - likelihood
    torch.testing.assert_close(terms.loss, expected)
    torch.testing.assert_close(gradient(terms.loss, model, guide), gradient(expected, model, guide))
    assert not terms.log_likelihood.requires_grad
    assert not terms.total_kl.requires_grad


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", GUIDES)
def test_bound_is_below_the_evidence(seed, kind):
    model = tiny_model(seed=seed)
    guide, batch = tiny_guide(model, kind, seed=seed + 10), random_batch(seed=seed)
    terms = objective().terms(model, guide, batch)
    gap = evidence(model, batch).item() + terms.loss.item()
    assert gap > 0
    if kind is PriorGuide:
        assert terms.total_kl.item() == pytest.approx(0, abs=1e-12)


def test_bound_equals_the_evidence_if_the_guide_is_the_posterior():
    model, batch = tiny_model(), padded(random_batch(), source=1, target=1)

    def posterior(batch):
        states = model.states(batch)
        support = torch.arange(batch.source.shape[1]).reshape(-1, 1, 1)
        log_prob = model.emission(states, support).log_prob(batch.target)
        joint = states.scores.log_softmax(-1) + log_prob.movedim(0, -1)
        with alignment_plates(batch):
            pyro.sample("alignment", dist.Categorical(logits=joint))

    loss = objective().differentiable_loss(model, posterior, batch)
    expected = evidence(model, batch)
    torch.testing.assert_close(-loss, expected)
    # The bound equals the evidence there and is below it elsewhere, so the gradients are equal.
    torch.testing.assert_close(-gradient(loss, model), gradient(expected, model))


def test_loss_under_autocast_is_fp32_and_close():
    # A CPU without bf16 instructions has no bf16 LSTM, but every CPU has the GRU.
    model, batch = tiny_model(cell="gru").float(), random_batch()
    guide = tiny_guide(model).float()
    expected = objective().terms(model, guide, batch)
    with torch.autocast("cpu", torch.bfloat16):
        terms = objective().terms(model, guide, batch)
    for ours, exact in ((terms.loss, expected.loss), (terms.total_kl, expected.total_kl)):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, exact, rtol=0.05, atol=0.02)
