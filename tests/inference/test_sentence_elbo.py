"""The bound of models with a latent variable of the sentence: free bits, and what it refuses."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from sentences import BATCH, guide_of, vae
from torch.distributions import kl_divergence

from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.guides import GaussianGuide
from pyro_align.inference import Likelihood, SentenceELBO


def terms(objective, model, guide):
    pyro.set_rng_seed(5)
    return objective.terms(model, guide, BATCH)


@pytest.fixture
def programs():
    model = vae(3)
    return model, guide_of(model)


def divergences(model, guide):
    """Divergence of each dimension of each sentence."""
    q, p = guide.posterior(BATCH)["sentence"], model.prior(len(BATCH))
    return kl_divergence(q.base_dist, p.base_dist).squeeze(1)


def test_without_free_bits_it_is_the_likelihood(programs):
    found, expected = (terms(each, *programs) for each in (SentenceELBO(), Likelihood()))
    assert torch.equal(found.loss, expected.loss)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_free_bits_of_a_sentence(programs, weight):
    each = divergences(*programs).sum(1)
    nats = each.mean().item()
    assert (each < nats).any()
    assert (each > nats).any()
    objective = SentenceELBO(free_bits=nats)
    objective.kl_weight = weight
    found = terms(objective, *programs)
    expected = weight * each.clamp_min(nats).sum() - found.log_likelihood
    torch.testing.assert_close(found.loss, expected)
    torch.testing.assert_close(found.kl["sentence"], each.sum())


def test_free_bits_of_a_dimension(programs):
    means = divergences(*programs).mean(0)
    nats = means.mean().item()
    assert (means < nats).any()
    found = terms(SentenceELBO(free_bits_per_dimension=nats), *programs)
    expected = len(BATCH) * means.clamp_min(nats).sum() - found.log_likelihood
    torch.testing.assert_close(found.loss, expected)


def test_a_scale_applies_to_the_whole_bound(programs):
    model, guide = (pyro.poutine.scale(program, 0.5) for program in programs)
    for options in ({"free_bits": 4.0}, {"free_bits_per_dimension": 2.0}):
        whole = terms(SentenceELBO(**options), *programs).loss
        torch.testing.assert_close(terms(SentenceELBO(**options), model, guide).loss, whole / 2)


class Correlated(GaussianGuide):
    """A guide whose dimensions are not independent."""

    def posterior(self, batch):
        mean = super().posterior(batch)["sentence"].mean
        return {"sentence": dist.MultivariateNormal(mean, torch.eye(mean.shape[-1]).to(mean))}


def test_free_bits_of_dimensions_need_independent_ones():
    model = vae(2)
    guide = guide_of(model, Correlated)
    assert terms(SentenceELBO(free_bits=1.0), model, guide).loss.isfinite()
    with pytest.raises(IncompatibleError, match="is a MultivariateNormal: use free_bits"):
        terms(SentenceELBO(free_bits_per_dimension=1.0), model, guide)


def test_only_one_kind_of_free_bits():
    with pytest.raises(ConfigError, match="cannot be combined"):
        SentenceELBO(free_bits=1.0, free_bits_per_dimension=1.0)


def test_the_bag_of_words_is_a_factor_of_training():
    model = vae(2, bag_of_words=0.7)
    plain = vae(2)
    guide = guide_of(model)
    without = terms(Likelihood(), model, guide).loss
    torch.testing.assert_close(without, terms(Likelihood(), plain, guide).loss)
    model.train()
    pyro.set_rng_seed(5)
    latent = guide.posterior(BATCH)["sentence"].rsample()
    logits = model.bag(latent).log_softmax(-1).expand(-1, BATCH.target.shape[1], -1)
    of_words = logits.gather(-1, BATCH.target.unsqueeze(-1)).squeeze(-1)
    expected = without - 0.7 * (of_words * BATCH.target_mask).sum()
    torch.testing.assert_close(terms(Likelihood(), model, guide).loss, expected)
