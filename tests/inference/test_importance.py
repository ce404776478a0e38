"""Properties of every objective with importance weights per position."""

from __future__ import annotations

import dataclasses

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from support import SIGMAS, gradient, mean_error, padded, random_batch, tiny_guide, tiny_model
from tables import ONE, POSITIONS, SOURCE, Fixed, World

from pyro_align.data.batch import TextBatch
from pyro_align.errors import IncompatibleError
from pyro_align.guides import AmortizedGuide, PriorGuide
from pyro_align.inference import (
    VIMCO,
    EnumeratedELBO,
    ImportanceWeightedBound,
    ReweightedWakeSleep,
    ScoreFunctionELBO,
)

SAMPLES = 4

WEIGHING = {
    "plain": ImportanceWeightedBound,
    "vimco": VIMCO,
    "wake-sleep": ReweightedWakeSleep,
}
SAMPLED = {
    **WEIGHING,
    "no baseline": lambda samples: ScoreFunctionELBO(samples=samples, baseline="none"),
    "average": lambda samples: ScoreFunctionELBO(samples=samples, baseline="average"),
    "network": lambda samples: ScoreFunctionELBO(samples=samples, baseline="network"),
    "soft attention": lambda samples: ScoreFunctionELBO(samples=samples),
    "leave one out": lambda samples: ScoreFunctionELBO(samples=samples, baseline="leave-one-out"),
}


def rows(batch, chosen):
    """Select sentences of a batch and remove excess padding."""

    def cut(mask):
        return slice(0, int(mask[chosen].sum(-1).max()))

    fields = {
        field.name: value[chosen]
        for field in dataclasses.fields(TextBatch)
        if isinstance(value := getattr(batch, field.name), torch.Tensor)
    }
    for side in ("source", "target"):
        width = cut(getattr(batch, f"{side}_mask"))
        for name in (side, f"{side}_mask"):
            fields[name] = fields[name][:, width]
    return TextBatch(**fields)


def estimate(make, model, guide, batch, alignment):
    """Loss and gradient for given alignments, with a learnt baseline in a later state."""
    objective = make(samples=SAMPLES)
    if isinstance(objective, ScoreFunctionELBO):
        torch.manual_seed(3)
        for tensor in objective.module(model).state_dict().values():
            torch.nn.init.normal_(tensor)
    alignment = alignment[..., : batch.target.shape[1]]
    loss = objective.differentiable_loss(model, Fixed(alignment)(guide), batch)
    return loss.detach(), gradient(loss, model, guide)


@pytest.mark.parametrize("name", SAMPLED)
@pytest.mark.parametrize("kind", [AmortizedGuide, PriorGuide])
def test_loss_of_a_sentence_does_not_depend_on_the_rest_of_the_batch(name, kind):
    """With fixed alignments; padding contributes nothing."""
    model, batch = tiny_model(), random_batch((3, 4, 1), (4, 2, 3))
    guide = tiny_guide(model, kind)
    lengths = batch.source_lengths.reshape(-1, 1).expand(batch.target.shape)
    alignment = (torch.rand(SAMPLES, *lengths.shape) * lengths).long()
    together = estimate(SAMPLED[name], model, guide, batch, alignment)
    alone = [
        estimate(SAMPLED[name], model, guide, rows(batch, [row]), alignment[:, [row]])
        for row in range(len(batch))
    ]
    summed = tuple(sum(each) for each in zip(*alone, strict=True))
    torch.testing.assert_close(together, summed, rtol=1e-10, atol=1e-10)
    wide = padded(batch, source=2, target=1)
    more = torch.cat([alignment, torch.zeros_like(alignment[..., :1])], dim=-1)
    wider = estimate(SAMPLED[name], model, guide, wide, more)
    torch.testing.assert_close(together, wider, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", WEIGHING)
def test_reported_terms_are_those_of_the_evidence_lower_bound(name):
    model, batch = tiny_model(), random_batch()
    guide = tiny_guide(model)
    expected = EnumeratedELBO().terms(model, guide, batch)
    terms = [WEIGHING[name](samples=5).terms(model, guide, batch) for _ in range(40)]
    for each in terms:
        torch.testing.assert_close(each.total_kl, expected.total_kl)
    values = torch.stack([each.log_likelihood for each in terms]).unsqueeze(1)
    assert mean_error(values, expected.log_likelihood.reshape(1)).max() < SIGMAS


@pytest.mark.parametrize("name", WEIGHING)
def test_kl_without_closed_form_is_sampled(name):
    prior = torch.tensor(0.3, dtype=torch.float64)

    def model(batch):
        with poutine.mask(mask=batch.target_mask):
            alignment = pyro.sample(
                "alignment", dist.Binomial(SOURCE - 1, prior).expand(batch.target.shape)
            )
            logits = torch.eye(9, dtype=torch.float64)[alignment.long()]
            pyro.sample("tokens", dist.Categorical(logits=logits), obs=batch.target)

    def in_plates(program):
        def wrapped(batch):
            with pyro.plate("sentences", 1, dim=-2), pyro.plate("positions", POSITIONS, dim=-1):
                program(batch)

        return wrapped

    world = World(1, POSITIONS)
    log_q = world.posterior.log_softmax(-1).detach()
    log_p = dist.Binomial(SOURCE - 1, prior).log_prob(torch.arange(SOURCE))
    expected = (log_q.exp() * (log_q - log_p)).sum().reshape(1)
    objective = WEIGHING[name](samples=50)
    kls = [objective.terms(in_plates(model), world.guide, ONE).total_kl for _ in range(40)]
    assert mean_error(torch.stack(kls).unsqueeze(1), expected).max() < SIGMAS


@pytest.mark.parametrize("name", WEIGHING)
def test_poutine_scale_scales_the_bound_not_the_weights(name):
    """As a plate with subsampling does."""
    world = World(1, POSITIONS)
    programs = (world.model, Fixed(torch.randint(SOURCE, (SAMPLES, 1, POSITIONS)))(world.guide))
    scaled = [poutine.scale(program, scale=7.0) for program in programs]
    one, seven = (
        WEIGHING[name](samples=SAMPLES).differentiable_loss(*pair, ONE)
        for pair in (programs, scaled)
    )
    torch.testing.assert_close(7 * one, seven)
    grads = (torch.autograd.grad(loss, world.leaves) for loss in (7 * one, seven))
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("name", WEIGHING)
def test_every_observed_site_is_counted_once(name):
    """One site per sentence, and one at some positions that depends on their alignment."""
    world, batch = World(2, POSITIONS), random_batch((3, 3), (3, 2))
    known = torch.tensor([[True, False, True], [False, True, True]])
    tags = torch.randint(4, batch.target.shape)
    table = torch.randn(SOURCE, 4, dtype=torch.float64)

    def model(batch):
        first, second, mask = world.plates(batch)
        with first:
            flag = dist.Bernoulli(logits=world.prior[:, :1, 0])
            pyro.sample("flag", flag, obs=torch.ones(len(batch), 1, dtype=torch.float64))
        with first, second, mask:
            alignment = pyro.sample("alignment", dist.Categorical(logits=world.prior))
            emission = world.emission[torch.arange(len(batch)).unsqueeze(-1), alignment]
            pyro.sample("tokens", dist.Categorical(logits=emission), obs=batch.target)
            with poutine.mask(mask=known):
                pyro.sample("tags", dist.Categorical(logits=table[alignment]), obs=tags)

    p, _, likelihood = world.parts(batch)
    tagged = table.log_softmax(-1).T[tags] * known.unsqueeze(-1)
    joint = p + likelihood + tagged

    def posterior(batch):
        first, second, mask = world.plates(batch)
        with first, second, mask:
            pyro.sample("alignment", dist.Categorical(logits=joint))

    evidence = (joint.logsumexp(-1) * batch.target_mask).sum()
    evidence = evidence + world.prior[:, 0, 0].sigmoid().log().sum()
    loss = WEIGHING[name](samples=3).differentiable_loss(model, posterior, batch)
    torch.testing.assert_close(-loss, evidence)


@pytest.mark.parametrize("name", WEIGHING)
def test_a_sentence_level_site_that_depends_on_the_alignments_is_rejected(name):
    world = World(1, POSITIONS)

    def model(batch):
        first, second, mask = world.plates(batch)
        with first, second, mask:
            alignment = pyro.sample("alignment", dist.Categorical(logits=world.prior))
        mean = alignment.double().mean(-1, keepdim=True)
        with first:
            pyro.sample("length", dist.Normal(mean, 1.0), obs=torch.zeros(1, 1))

    with pytest.raises(IncompatibleError, match=r"'length'.*use ScoreFunctionELBO"):
        WEIGHING[name](samples=3).loss(model, world.guide, ONE)
