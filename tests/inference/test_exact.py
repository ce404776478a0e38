"""The exact marginal against brute force and hand-written sums."""

from __future__ import annotations

import itertools

import pytest
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, config_enumerate
from support import evidence, gradient, padded, random_batch, tiny_guide, tiny_model

from pyro_align.guides import AmortizedGuide, ExactGuide, NoGuide, PriorGuide
from pyro_align.inference import EnumeratedELBO, ExactMarginal


def exact(model, batch):
    return ExactMarginal().terms(model, NoGuide(model), batch)


def by_hand(model, batch):
    """``Σ_t log Σ_s p(z_t = s) p(y_t | z_t = s)``, by loops."""
    states = model.states(batch)
    total = torch.zeros((), dtype=torch.float64)
    for b in range(len(batch)):
        length = int(batch.source_lengths[b])
        for t in range(int(batch.target_lengths[b])):
            prior = states.scores[b, t, :length].log_softmax(-1)
            features = [
                model.networks.emission.gain
                * torch.tanh(
                    model.networks.emission.query(states.hidden[b, t])
                    + model.networks.emission.context(states.memory.annotations[b, s])
                )
                for s in range(length)
            ]
            emission = model.networks.emission
            log_probs = torch.stack(
                [
                    (emission.weight @ f + emission.bias).log_softmax(-1)[batch.target[b, t]]
                    for f in features
                ]
            )
            total = total + torch.logsumexp(prior + log_probs, 0)
    return total


def brute_force(model, batch):
    """``log Σ_{z_1 … z_T} p(y, z)`` over all alignments of one sentence, jointly."""
    (length,), (positions,) = batch.source_lengths.tolist(), batch.target_lengths.tolist()
    states = model.states(batch)
    alignments = torch.tensor(list(itertools.product(range(length), repeat=positions)))
    z = alignments.unsqueeze(1)
    prior = states.scores.log_softmax(-1).expand(len(z), -1, -1, -1)
    log_prior = prior.gather(-1, z.unsqueeze(-1)).squeeze(-1)
    log_likelihood = (
        model.emission(states, z)
        .logits.gather(-1, batch.target.expand(len(z), -1, -1).unsqueeze(-1))
        .squeeze(-1)
    )
    return (log_prior + log_likelihood).sum((1, 2)).logsumexp(0)


@pytest.mark.parametrize("feeding", [False, True])
@pytest.mark.parametrize("attention", ["dot", "general", "mlp"])
def test_equals_the_hand_written_logsumexp(feeding, attention):
    model = tiny_model(input_feeding=feeding, attention=attention)
    batch = padded(random_batch(), source=2, target=1)
    loss, expected = exact(model, batch).loss, by_hand(model, batch)
    torch.testing.assert_close(-loss, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        -gradient(loss, model), gradient(expected, model), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize(("length", "positions"), [(1, 1), (1, 4), (4, 1), (2, 3), (3, 4), (4, 4)])
@pytest.mark.parametrize("feeding", [False, True])
def test_equals_the_sum_over_all_joint_alignments(length, positions, feeding):
    model = tiny_model(input_feeding=feeding)
    batch = random_batch((length,), (positions,))
    loss, expected = exact(model, batch).loss, brute_force(model, batch)
    torch.testing.assert_close(-loss, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        -gradient(loss, model), gradient(expected, model), rtol=1e-10, atol=1e-12
    )


def test_equals_brute_force_over_the_conditioned_program():
    """Conditions the program on every joint alignment in turn."""
    model, batch = tiny_model(), random_batch((2, 3), (2, 1))
    total = torch.zeros((), dtype=torch.float64)
    for alignment in itertools.product(range(2), range(2), range(3)):
        z = torch.tensor([[alignment[0], alignment[1]], [alignment[2], 0]])
        conditioned = poutine.condition(model, data={"alignment": z})
        total = total + poutine.trace(conditioned).get_trace(batch).log_prob_sum().exp()
    torch.testing.assert_close(-exact(model, batch).loss, total.log())


def test_equals_stock_enumeration():
    model, batch = tiny_model(), random_batch()
    stock = TraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(
        config_enumerate(model), NoGuide(model), batch
    )
    ours = exact(model, batch).loss
    torch.testing.assert_close(ours, stock)
    torch.testing.assert_close(gradient(ours, model), gradient(stock, model))


def test_terms():
    model, batch = tiny_model(), random_batch()
    terms = exact(model, batch)
    assert terms.log_likelihood.item() == pytest.approx(evidence(model, batch).item())
    assert terms.total_kl == 0
    assert not terms.log_likelihood.requires_grad
    assert not terms.total_kl.requires_grad


def test_loss_under_autocast_is_fp32_and_close():
    # A CPU without bf16 instructions has no bf16 LSTM, but every CPU has the GRU.
    model, batch = tiny_model(cell="gru").float(), random_batch()
    expected = exact(model, batch).loss
    with torch.autocast("cpu", torch.bfloat16):
        loss = exact(model, batch).loss
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.03, atol=0)


def both(model, guide, batch):
    return ExactMarginal().terms(model, guide, batch), EnumeratedELBO().terms(model, guide, batch)


def test_with_a_guide_the_value_is_the_evidence_lower_bound():
    model, batch = tiny_model(), padded(random_batch(), source=2, target=1)
    ours, bound = both(model, tiny_guide(model), batch)
    torch.testing.assert_close(ours.loss, bound.loss)
    torch.testing.assert_close(ours.log_likelihood, bound.log_likelihood)
    torch.testing.assert_close(ours.total_kl, bound.total_kl)
    assert not ours.log_likelihood.requires_grad
    assert not ours.total_kl.requires_grad


def test_with_a_guide_model_and_guide_have_separate_gradients():
    model, batch = tiny_model(), padded(random_batch(), source=2, target=1)
    guide = tiny_guide(model, share_embeddings=False)
    ours, bound = both(model, guide, batch)
    torch.testing.assert_close(
        -gradient(ours.loss, model), gradient(evidence(model, batch), model), rtol=1e-9, atol=1e-11
    )
    torch.testing.assert_close(
        gradient(ours.loss, guide), gradient(bound.loss, guide), rtol=1e-9, atol=1e-11
    )
    assert not torch.allclose(gradient(ours.loss, model), gradient(bound.loss, model))


def test_shared_parameters_get_the_gradient_of_the_evidence_only():
    model, batch = tiny_model(), random_batch()
    guide = tiny_guide(model, share_embeddings=True)
    loss = ExactMarginal().differentiable_loss(model, guide, batch)
    log_q = guide.scores(batch).log_softmax(-1)
    states = model.states(batch)
    support = torch.arange(batch.source.shape[1]).reshape(-1, 1, 1)
    log_f = model.emission(states, support).log_prob(batch.target).movedim(0, -1)
    log_posterior = (states.scores.log_softmax(-1) + log_f).log_softmax(-1).detach()
    gap = (log_q.exp() * (log_q - log_posterior)).sum(-1)[batch.target_mask].sum()
    expected = gap - evidence(model, batch)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient(loss, guide), gradient(expected, guide))
    torch.testing.assert_close(gradient(loss, model), -gradient(evidence(model, batch), model))


@pytest.mark.parametrize("kind", [PriorGuide, ExactGuide])
def test_a_guide_without_parameters_does_not_change_the_gradient(kind):
    model, batch = tiny_model(), padded(random_batch(), source=1, target=1)
    ours, bound = both(model, kind(model), batch)
    torch.testing.assert_close(ours.loss, bound.loss)
    torch.testing.assert_close(
        -gradient(ours.loss, model), gradient(evidence(model, batch), model), rtol=1e-9, atol=1e-11
    )


def test_poutine_scale_scales_the_bound_with_a_guide():
    model, batch = tiny_model(), random_batch()
    guide = tiny_guide(model, AmortizedGuide)
    scaled = [poutine.scale(program, scale=7.0) for program in (model, guide)]
    terms, seven = (ExactMarginal().terms(*pair, batch) for pair in ((model, guide), scaled))
    torch.testing.assert_close(seven.loss, 7 * terms.loss)
    torch.testing.assert_close(
        gradient(seven.loss, model, guide), 7 * gradient(terms.loss, model, guide)
    )
