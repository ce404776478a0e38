"""Programs have unique names in Pyro's parameter store."""

from __future__ import annotations

import copy
import pickle

import pyro
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from support import random_batch, tiny_guide, tiny_model

from pyro_align.guides import AmortizedDirichletGuide, NoGuide
from pyro_align.inference import ExactMarginal, NetworkBaseline, ScoreFunctionELBO
from pyro_align.models import DirichletModel


def names():
    return set(pyro.get_param_store().keys())


def step(model, guide, elbo):
    SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), elbo).step(random_batch())


def test_a_copy_has_its_own_parameters():
    model = tiny_model()
    step(model, NoGuide(model), ExactMarginal())
    first = names()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        before = [parameter.clone() for parameter in other.parameters()]
        kept = [parameter.clone() for parameter in model.parameters()]
        step(other, NoGuide(other), ExactMarginal())
        assert not any(map(torch.equal, before, other.parameters()))
        assert all(map(torch.equal, kept, model.parameters()))
    assert len(names()) == 3 * len(first)


def test_a_copied_nested_guide_has_unique_names():
    model = tiny_model(DirichletModel)
    guide = tiny_guide(model, AmortizedDirichletGuide)
    other = copy.deepcopy(guide)
    # The model that a guide is built on is not a child of it.
    for each in (guide, other):
        step(model, each, Trace_ELBO())
    of_guides = {name for name in names() if "amortized" in name}
    assert len(of_guides) == 2 * len(list(guide.parameters()))
    assert other.amortized._pyro_name == f"{other._pyro_name}.amortized"


def test_two_baselines_have_separate_networks():
    model = tiny_model()
    guide = tiny_guide(model)
    for _ in range(2):
        objective = ScoreFunctionELBO(baseline="network")
        objective.module(model)
        assert isinstance(objective.baseline, NetworkBaseline)
        before = [parameter.clone() for parameter in objective.baseline.network.parameters()]
        for _ in range(2):
            step(model, guide, objective)
        after = objective.baseline.network.parameters()
        assert not any(map(torch.equal, before, after))


def test_parameters_reach_handlers_and_are_not_listed_without_any(monkeypatch):
    model, batch = tiny_model(), random_batch()
    with pyro.settings.context(module_local_params=True):
        trace = poutine.trace(model).get_trace(batch)
        seen = {name for name, site in trace.nodes.items() if site["type"] == "param"}
        assert len(seen) == len([*model.parameters()])

        expected = model.next_token(model.states(batch))
        monkeypatch.setattr(model.networks, "named_parameters", None)
        torch.testing.assert_close(model.next_token(model.states(batch)), expected)
        monkeypatch.undo()
    assert not names()
    model.states(batch)  # in the parameter store
    assert len(names()) == len(seen)
