"""Chains of Monte Carlo EM are part of a checkpoint."""

import torch
from runs import checkpoint, fitted, silent, unfinished
from safetensors.torch import load_file
from tasks_of_sentences import config

from pyro_align.inference import MonteCarloEM
from pyro_align.runs import Run


def test_a_resumed_fit_continues_its_chains(tmp_path):
    parts = {"guide__name": "none", "objective__name": "mcem"}
    run = fitted(config(tmp_path / "text", **parts), tmp_path / "run")
    chains = run.objective.chains.get_extra_state()
    saved = checkpoint(run.path)["state_dict"]["elbo.objective._extra_state"]
    # The checkpoint is of the middle of the last epoch, in which every chain moves once.
    assert saved["started"].all()
    assert not torch.equal(saved["values"]["sentence"], chains["values"]["sentence"])
    before = load_file(run.path / "weights.safetensors")
    resumed = Run.resume(unfinished(run.path))
    assert isinstance(resumed.objective, MonteCarloEM)
    resumed.fit(echo=silent, quiet=True)
    after = load_file(run.path / "weights.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    found = resumed.objective.chains.get_extra_state()
    assert torch.equal(found["values"]["sentence"], chains["values"]["sentence"])
    assert found["step_size"] == chains["step_size"]
    assert found["acceptance"] == chains["acceptance"]
