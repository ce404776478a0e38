"""The page "Write a prior": its code and commands are run."""

import pyro.distributions as dist
import pytest
import torch
from commands import run_commands
from pages import DOCS, Page, written_class
from runs import WORKPLACE
from support import random_batch, randomise, tiny_networks

from pyro_align.config.registry import MODELS
from pyro_align.guides import NoGuide, PriorGuide
from pyro_align.inference import EnumeratedELBO, score_positions
from pyro_align.models import AlignmentModel
from pyro_align.runs import Run
from pyro_align.testing import ModelContract

PAGE = Page(DOCS / "how-to" / "write-a-prior.md")


def location(seed=0, **settings):
    kind = MODELS.get(str(written_class(PAGE, WORKPLACE / "written-prior", "--model")))
    return randomise(kind(tiny_networks(seed=seed, **settings)), seed, scale=1.0)


class TestContract(ModelContract):
    def create(self, *, seed=0, **settings):
        return location(seed, **settings)


class TestContractOfTwoExperts(ModelContract):
    def create(self, *, seed=0, **settings):
        return location(seed, emission="product", lexical=True, **settings)


def test_the_prior_matches_the_formula_of_the_page():
    model, batch = location(), random_batch()
    states = model.states(batch)
    found = score_positions(model, PriorGuide(model), batch)
    for b in range(len(batch)):
        for t in range(int(batch.target_lengths[b])):
            length = int(batch.source_lengths[b])
            distance = (torch.arange(length) - t) / model.log_width.exp()
            logits = states.scores[b, t, :length] - distance**2 / 2
            torch.testing.assert_close(found.log_prior[b, t, :length], logits.log_softmax(-1))
    assert EnumeratedELBO().terms(model, PriorGuide(model), batch).total_kl == 0


def test_commands_run(tmp_path):
    written_class(PAGE, tmp_path, "--model")
    run_commands(PAGE.commands, tmp_path)
    run = Run.load(tmp_path / "runs" / "location")
    assert type(run.model).__name__ == "LocationModel"
    assert run.config.model.options == {"width": 2.0}
    assert not isinstance(run.guide, NoGuide)


def test_an_override_of_states_is_rejected():
    with pytest.raises(TypeError, match=r"Shifted overrides states\(batch\).*prior\(states\)"):

        class Shifted(AlignmentModel):
            def states(self, batch):
                return dist.Delta(batch.target)

    class Mixin:
        def states(self, batch):
            return dist.Delta(batch.target)

    with pytest.raises(TypeError, match=r"Inherits overrides states\(batch\)"):

        class Inherits(Mixin, AlignmentModel):
            pass
