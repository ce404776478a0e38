"""The Gaussian guide of a sentence."""

import dataclasses
import math

import pytest
import torch
from pyro.infer import Trace_ELBO
from sentences import BATCH, guide_of, vae
from torch.nn.functional import pad

from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.evaluation.latents import score_latents
from pyro_align.inference import SentenceELBO, score_sentences
from pyro_align.inference.traces import own_parameters


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encoder": "convolutional", "layers": 2},
        {"encoder": "transformer", "hidden": 4, "heads": 2},
    ],
    ids=str,
)
def test_padding_and_other_sentences_do_not_matter(options):
    model = vae(3)
    guide = guide_of(model, **options)
    whole = guide.posterior(BATCH)["sentence"]
    assert whole.batch_shape == (3, 1)
    assert whole.event_shape == (3,)
    wide = dataclasses.replace(
        BATCH,
        target=pad(BATCH.target, (0, 2)),
        target_mask=pad(BATCH.target_mask, (0, 2), value=False),
    )
    torch.testing.assert_close(guide.posterior(wide)["sentence"].mean, whole.mean)
    alone = type(BATCH).from_ids([BATCH.target[1, :2].tolist()])
    found = guide.posterior(alone)["sentence"]
    torch.testing.assert_close(found.mean[0], whole.mean[1])
    torch.testing.assert_close(found.variance[0], whole.variance[1])


def test_embeddings_are_its_own_unless_shared():
    model = vae()
    assert any(
        parameter.shape == model.networks.embedding.weight.shape
        for parameter in own_parameters(guide_of(model), model)
    )
    shared = guide_of(model, share_embeddings=True)
    assert shared.own_features is None
    assert all(
        parameter is not model.networks.embedding.weight
        for parameter in own_parameters(shared, model)
    )


def flow_pair():
    model = vae(3)
    return model, guide_of(model, flow=2, flow_hidden=4)


def test_a_flow_depends_on_the_sentence_only():
    _, guide = flow_pair()
    values = torch.randn(3, 1, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = guide.posterior(BATCH)["sentence"].log_prob(values)
    alone = type(BATCH).from_ids([BATCH.target[1, :2].tolist()])
    found = guide.posterior(alone)["sentence"].log_prob(values[1:2])
    torch.testing.assert_close(found[0], whole[1])


def test_bound_with_a_flow_is_that_of_stock_pyro():
    model, guide = flow_pair()
    losses = []
    for elbo in (SentenceELBO(), Trace_ELBO()):
        torch.manual_seed(3)
        losses.append(elbo.differentiable_loss(model, guide, BATCH))
    torch.testing.assert_close(*losses)
    parameters = [*guide.parameters(), *model.parameters()]
    ours, theirs = (
        torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        for loss in losses
    )
    torch.testing.assert_close(ours, theirs)


def test_log_evidence_with_a_flow_is_that_of_the_model():
    """The estimate does not depend on the guide."""
    model, guide = flow_pair()
    gaussian = guide_of(model)
    flow, plain = (
        score_sentences(model, each, BATCH, draws=3000).log_evidence for each in (guide, gaussian)
    )
    # The standard error of each estimate is below 0.04.
    torch.testing.assert_close(flow, plain, atol=0.25, rtol=0)


def test_latents_are_scored_with_a_flow():
    _, guide = flow_pair()
    scores = score_latents(guide, [BATCH])
    assert scores.dimensions == 3
    assert math.isfinite(scores.information.value)


def test_free_bits_of_dimensions_are_refused_with_a_flow():
    model, guide = flow_pair()
    with pytest.raises(IncompatibleError, match="use free_bits"):
        SentenceELBO(free_bits_per_dimension=0.1).loss(model, guide, BATCH)
    assert math.isfinite(SentenceELBO(free_bits=2.0).loss(model, guide, BATCH))


@pytest.mark.parametrize(("latent", "hidden"), [(1, 8), (3, 2)])
def test_a_flow_of_impossible_size_is_refused(latent, hidden):
    with pytest.raises(ConfigError, match=r"guide\.flow_hidden"):
        guide_of(vae(latent), flow=1, flow_hidden=hidden)
