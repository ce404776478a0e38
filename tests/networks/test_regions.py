"""Models, guides and objectives work with a network that reads image regions instead of tokens."""

from __future__ import annotations

import pyro
import pytest
import torch
from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate
from regions import RegionBatch, RegionNetwork
from support import assert_unbiased, gradient, randomise

from pyro_align.decoding import BeamSearch
from pyro_align.errors import IncompatibleError
from pyro_align.guides import (
    AmortizedDirichletGuide,
    AmortizedGuide,
    CorrectedPriorGuide,
    ExactGuide,
    GumbelGuide,
    NoGuide,
    PosteriorMixtureGuide,
    PriorGuide,
    TransformerGuide,
)
from pyro_align.inference import (
    EnumeratedELBO,
    ExactMarginal,
    GumbelSoftmaxELBO,
    Likelihood,
    RelaxedELBO,
    ScoreFunctionELBO,
    TopKMarginal,
    score_positions,
)
from pyro_align.models import CategoricalModel, DirichletModel, SoftModel

GUIDES = {
    PriorGuide: {},
    AmortizedGuide: {"hidden": 4},
    CorrectedPriorGuide: {"hidden": 4},
    ExactGuide: {},
    PosteriorMixtureGuide: {"hidden": 4},
    TransformerGuide: {"size": 8, "heads": 2},
}
EVERY_GUIDE = pytest.mark.parametrize("kind", GUIDES, ids=lambda kind: kind.__name__)


def images():
    torch.manual_seed(0)
    regions = [torch.randn(count, 5, dtype=torch.float64) for count in (3, 4, 1)]
    return RegionBatch.of(regions, torch.tensor([2, 5, 0]))


BATCH = images()


def created(kind):
    return kind(randomise(RegionNetwork(), 1))


def guide_of(model, kind):
    return randomise(kind(model, **GUIDES[kind]), 2)


def by_hand(network):
    """Log priors and log likelihoods of every region, and the log likelihood of their mean."""
    log_priors, log_likelihoods, of_mean = [], [], []
    emission = network.emission
    for row, length in enumerate(BATCH.source_lengths):
        regions, answer = BATCH.regions[row, :length], BATCH.target[row, 0]
        query = torch.tanh(network.query(regions.mean(0)))
        prior = (network.scorer.projection(regions) @ query).softmax(0)

        def log_likelihood(context, query=query, answer=answer):
            units = torch.tanh(emission.query(query) + emission.context(context))
            logits = emission.weight @ (emission.gain * units) + emission.bias
            return logits.log_softmax(0)[answer]

        log_priors.append(prior.log())
        log_likelihoods.append(torch.stack([log_likelihood(region) for region in regions]))
        of_mean.append(log_likelihood(prior @ regions))
    return log_priors, log_likelihoods, of_mean


def log_evidence(network):
    log_priors, log_likelihoods, _ = by_hand(network)
    pairs = zip(log_priors, log_likelihoods, strict=True)
    return torch.stack([(p + f).logsumexp(0) for p, f in pairs])


def test_marginals_equal_a_sum_over_regions():
    model = created(CategoricalModel)
    expected = log_evidence(model.networks)
    guide = NoGuide(model)
    stock = TraceEnum_ELBO(max_plate_nesting=2).differentiable_loss
    for loss in (
        ExactMarginal().differentiable_loss(model, guide, BATCH),
        TopKMarginal(k=4).differentiable_loss(model, guide, BATCH),
        stock(config_enumerate(model), guide, BATCH),
    ):
        torch.testing.assert_close(-loss, expected.sum())
        torch.testing.assert_close(-gradient(loss, model), gradient(expected.sum(), model))
    found = score_positions(model, guide, BATCH).log_evidence
    torch.testing.assert_close(found.squeeze(1), expected)


def test_soft_attention_reads_the_mean_region():
    model = created(SoftModel)
    *_, of_mean = by_hand(model.networks)
    loss = Likelihood().differentiable_loss(model, NoGuide(model), BATCH)
    torch.testing.assert_close(-loss, torch.stack(of_mean).sum())


@EVERY_GUIDE
def test_the_bound_of_every_guide(kind):
    model = created(CategoricalModel)
    guide = guide_of(model, kind)
    bounds = []
    weights = guide.posterior(BATCH)["alignment"].probs
    for row, (log_p, log_f) in enumerate(zip(*by_hand(model.networks)[:2], strict=True)):
        q = weights[row, 0, : len(log_p)]
        torch.testing.assert_close(q.sum(), torch.ones_like(q.sum()))
        bounds.append((q * (log_p + log_f - q.log())).sum())
    expected, evidence = sum(bounds), log_evidence(model.networks).sum()
    torch.testing.assert_close(-EnumeratedELBO().differentiable_loss(model, guide, BATCH), expected)
    stock = TraceEnum_ELBO(max_plate_nesting=2)
    loss = stock.differentiable_loss(model, config_enumerate(guide), BATCH)
    torch.testing.assert_close(-loss, expected)
    scores = score_positions(model, guide, BATCH)
    torch.testing.assert_close(scores.elbo.sum(), expected)
    if kind is ExactGuide:
        torch.testing.assert_close(expected, evidence)
    else:
        assert expected < evidence - 1e-3


@pytest.mark.parametrize("baseline", ["soft-attention", "network"])
def test_the_score_function_is_unbiased(baseline):
    model = created(CategoricalModel)
    guide = guide_of(model, CorrectedPriorGuide)
    objective = ScoreFunctionELBO(baseline=baseline)
    expected = gradient(EnumeratedELBO().differentiable_loss(model, guide, BATCH), guide)
    draws = [gradient(objective.differentiable_loss(model, guide, BATCH), guide) for _ in range(40)]
    assert_unbiased(torch.stack(draws), expected)


def test_alignments_on_the_simplex():
    model = created(DirichletModel)
    guide = randomise(AmortizedDirichletGuide(model, hidden=4), 2)
    assert RelaxedELBO().differentiable_loss(model, guide, BATCH).isfinite()
    # The simplex over one region is a point.
    found = score_positions(model, guide, BATCH).log_evidence[2, 0]
    torch.testing.assert_close(found, by_hand(model.networks)[2][2])


def test_a_guide_with_its_own_features():
    model = created(CategoricalModel)
    guide = randomise(AmortizedGuide(model, hidden=4, share_embeddings=False), 2)
    loss = EnumeratedELBO().differentiable_loss(model, guide, BATCH)
    assert gradient(loss, guide.own_features.source).any()
    assert not gradient(loss, guide.own_features.target).isnan().any()


def test_stock_svi_trains_relaxed_and_sampled_alignments():
    model = created(CategoricalModel)
    pairs = [
        (GumbelSoftmaxELBO(), GumbelGuide(model, hidden=4).double()),
        (ScoreFunctionELBO(), guide_of(model, TransformerGuide)),
    ]
    for objective, guide in pairs:
        svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.03}), objective)
        losses = [svi.step(BATCH) for _ in range(40)]
        assert sum(losses[-10:]) < sum(losses[:10])


def test_beam_search_needs_networks_that_decode():
    with pytest.raises(IncompatibleError, match=r"RegionNetwork cannot: .*AutoregressiveNetwork"):
        BeamSearch(created(CategoricalModel).eval())


def test_tensors_of_a_subclass_are_moved():
    moved = BATCH.to("meta")
    assert isinstance(moved, RegionBatch)
    names = ("regions", "target", "source_mask", "target_mask")
    assert {getattr(moved, name).device.type for name in names} == {"meta"}
    assert {getattr(moved, name).device.type for name in moved.on_cpu} == {"cpu"}
    assert moved.noise == BATCH.noise
    assert BATCH.with_new_noise().noise != BATCH.noise
    assert (len(BATCH), BATCH.num_targets) == (3, 3)
