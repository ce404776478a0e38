"""Running a model with a relaxed alignment, and enumerating a relaxed alignment."""

from __future__ import annotations

import torch
from pyro import poutine
from support import padded, random_batch, tiny_guide, tiny_model
from torch.testing import assert_close

from pyro_align.distributions import GumbelSoftmax
from pyro_align.guides import GumbelGuide
from pyro_align.inference import relaxed
from pyro_align.inference.enumeration import enumerated_log_probs, enumerated_trace

BATCH = padded(random_batch(), source=1, target=1)


def test_only_the_prior_is_replaced():
    model = tiny_model()
    plain = poutine.trace(model).get_trace(BATCH)
    trace = poutine.trace(relaxed(model, lambda logits: GumbelSoftmax(0.7, logits))).get_trace(
        BATCH
    )
    site = trace.nodes["alignment"]
    assert isinstance(site["fn"], GumbelSoftmax)
    assert_close(site["fn"].logits, plain.nodes["alignment"]["fn"].logits)
    assert site["value"].shape == (*BATCH.target.shape, BATCH.source.shape[1])
    assert trace.observation_nodes == plain.observation_nodes
    assert list(trace.nodes) == list(plain.nodes)


def test_the_guides_value_reaches_the_emission():
    model = tiny_model()
    guide = tiny_guide(model, GumbelGuide)
    drawn = poutine.trace(guide).get_trace(BATCH)
    trace = poutine.trace(poutine.replay(relaxed(model, guide.relax), trace=drawn)).get_trace(BATCH)
    trace.compute_log_prob()
    states = model.states(BATCH)
    context = drawn.nodes["alignment"]["value"] @ states.memory.values
    emission = model.networks.emission(states.hidden, context)
    expected = emission.log_prob(BATCH.target) * BATCH.target_mask
    assert_close(trace.nodes["tokens"]["log_prob"], expected)


def test_a_relaxed_guide_is_enumerated_as_its_categorical():
    guide = tiny_guide(tiny_model(), GumbelGuide)
    trace = enumerated_trace(guide, BATCH)
    found = enumerated_log_probs(trace, "alignment", BATCH)
    expected = guide.amortized.scores(BATCH).log_softmax(-1)
    here = BATCH.target_mask
    assert_close(found[here], expected[here])
    assert not found[~here].any()


def test_enumeration_can_be_nested_and_repeated():
    """It leaves no enumeration dimension allocated."""
    model = tiny_model()
    first = enumerated_log_probs(enumerated_trace(model, BATCH), "tokens", BATCH)
    with poutine.enum(first_available_dim=-3), poutine.trace() as outer:
        second = enumerated_log_probs(enumerated_trace(model, BATCH), "tokens", BATCH)
    assert torch.equal(first, second)
    assert not outer.trace.stochastic_nodes
