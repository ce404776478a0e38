"""The base class of guides: sites of a posterior in their plates."""

from __future__ import annotations

import math
from typing import ClassVar

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceGraph_ELBO
from support import random_batch, tiny_guide, tiny_model

from pyro_align.guides import AlignmentGuide, AmortizedGuide, NoGuide, PriorGuide
from pyro_align.inference import EnumeratedELBO
from pyro_align.inference.plates import position_plate, sentence_plate
from pyro_align.models import CategoricalModel


class StyledModel(CategoricalModel):
    """A Gaussian of each sentence next to the alignments."""

    latents: ClassVar = {"style": "gaussian", "alignment": "categorical"}

    def forward(self, batch):
        states = self.states(batch)
        with sentence_plate(batch):
            pyro.sample("style", dist.Normal(torch.zeros(len(batch), 1), 1.0))
            with position_plate(batch):
                alignment = pyro.sample("alignment", self.prior(states))
                pyro.sample("tokens", self.emission(states, alignment), obs=batch.target)


class StyledGuide(AlignmentGuide):
    latents: ClassVar = {"style": "gaussian", "alignment": "categorical"}

    def posterior(self, batch):
        style = dist.Normal(torch.arange(1.0, 1 + len(batch)).unsqueeze(1), 0.5)
        prior = self.model.prior(self.model.states(batch))
        return {"style": style, "alignment": prior}


class PlainGuide(StyledGuide):
    """The same distribution, written as a Pyro program."""

    def forward(self, batch):
        posterior = self.posterior(batch)
        with pyro.plate("sentences", len(batch), dim=-2):
            pyro.sample("style", posterior["style"])
            positions = pyro.plate("positions", batch.target.shape[1], dim=-1)
            with positions, poutine.mask(mask=batch.target_mask):
                pyro.sample("alignment", posterior["alignment"])


# With targets of length one the batch shapes of both sites are equal.
BATCHES = {"longer": random_batch(), "one position": random_batch((3, 4, 1), (1, 1, 1))}


@pytest.fixture(params=BATCHES.values(), ids=BATCHES.keys())
def batch(request):
    return request.param


def frames(site):
    return {frame.name: frame.dim for frame in site["cond_indep_stack"]}


def test_the_kind_of_a_site_determines_its_plates(batch):
    model = tiny_model(StyledModel)
    trace = poutine.trace(StyledGuide(model)).get_trace(batch)
    trace.compute_log_prob()
    style, alignment = trace.nodes["style"], trace.nodes["alignment"]
    assert frames(style) == {"sentences": -2}
    assert frames(alignment) == {"sentences": -2, "positions": -1}
    assert style["log_prob"].shape == (3, 1)
    assert style["mask"] is None
    assert torch.equal(alignment["mask"].expand(batch.target.shape), batch.target_mask)
    returned = trace.nodes["_RETURN"]["value"]
    assert returned.keys() == {"style", "alignment"}
    assert all(torch.equal(value, trace.nodes[name]["value"]) for name, value in returned.items())


def test_equals_a_hand_written_program(batch):
    model = tiny_model(StyledModel)
    losses = []
    for kind in (StyledGuide, PlainGuide):
        for elbo_kind in (Trace_ELBO, TraceGraph_ELBO):
            pyro.set_rng_seed(5)
            elbo = elbo_kind(num_particles=2, max_plate_nesting=2)
            losses.append(elbo.loss(model, kind(model), batch))
    assert losses[:2] == losses[2:]


def test_objectives_add_one_divergence_for_each_sentence(batch):
    """No token depends on the style, so its divergence lowers the bound."""
    model = tiny_model(StyledModel)
    plain = tiny_model(CategoricalModel)
    without = EnumeratedELBO().loss(plain, PriorGuide(plain), batch)
    mean, scale = torch.arange(1.0, 1 + len(batch)), 0.5
    divergence = ((mean**2 + scale**2 - 1) / 2 - math.log(scale)).sum().item()
    found = EnumeratedELBO().loss(model, StyledGuide(model), batch)
    assert found == pytest.approx(without + divergence, rel=1e-6)


def test_posterior_and_latents_must_name_the_same_sites():
    class Misspelt(StyledGuide):
        latents: ClassVar = {"stile": "gaussian", "alignment": "categorical"}

    with pytest.raises(ValueError, match=r"\['alignment', 'style'\], but Misspelt.*'stile'"):
        Misspelt(tiny_model(StyledModel))(random_batch())


def test_a_guide_needs_posterior_or_forward():
    class Nothing(AlignmentGuide):
        latents: ClassVar = {"alignment": "categorical"}

    with pytest.raises(NotImplementedError, match=r"Nothing must define posterior\(batch\)"):
        Nothing(tiny_model())(random_batch())


def test_posterior_is_the_distribution_that_is_sampled():
    model, batch = tiny_model(), random_batch()
    guide = tiny_guide(model, AmortizedGuide)
    fn = poutine.trace(guide).get_trace(batch).nodes["alignment"]["fn"]
    assert torch.equal(guide.posterior(batch)["alignment"].logits, fn.logits)
    assert NoGuide(model).posterior(batch) == {} == NoGuide(model)(batch)
