"""The page "Write a model": its code and commands are run."""

import inspect

import pytest
import torch
from commands import run_commands
from pages import DOCS, Page, written_class
from runs import WORKPLACE
from support import random_batch, tiny_model, tiny_networks

from pyro_align.config.registry import MODELS
from pyro_align.inference.kinds import alignment_kind
from pyro_align.models import CategoricalModel, SoftModel
from pyro_align.runs import Run

PAGE = Page(DOCS / "how-to" / "write-a-model.md")


def blended():
    return MODELS.get(str(written_class(PAGE, WORKPLACE / "written-model", "--model")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder in which the page's commands were run."""
    place = tmp_path_factory.mktemp("model")
    written_class(PAGE, place, "--model")
    run_commands(PAGE.commands, place)
    return place


@pytest.mark.parametrize(("name", "guide"), [("blended", "amortized"), ("blended-exact", None)])
def test_the_runs_model_is_the_class_of_the_page(folder, name, guide):
    run = Run.load(folder / "runs" / name)
    (block,) = PAGE.code("python")
    assert type(run.model).__name__ == "BlendedModel"
    assert inspect.getsource(type(run.model)) in block
    assert run.config.model.name == "code/blended.py:BlendedModel"
    assert run.objective.pairs & {("categorical", alignment_kind(run.guide.latents))}
    if guide:
        assert run.config.guide.name == guide
        assert run.config.model.options == {"blend": 0.7}


def test_the_blend_is_the_option():
    model = blended()(tiny_networks(), blend=0.7)
    assert model.logit.sigmoid().item() == pytest.approx(0.7)


def test_the_limits_are_the_soft_and_the_categorical_model():
    batch = random_batch()
    for logit, kind in ((40.0, CategoricalModel), (-40.0, SoftModel)):
        model, other = blended()(tiny_networks()).double(), tiny_model(kind)
        model.logit.data.fill_(logit)
        found = model.next_token(model.states(batch))
        torch.testing.assert_close(found, other.next_token(other.states(batch)))
