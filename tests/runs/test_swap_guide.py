"""Runs that start from another run: a new guide for its model, frozen or not."""

from __future__ import annotations

import csv
import json
import shutil
import textwrap

import pytest
import torch
from runs import (
    checkpoint,
    copied,
    fitted,
    sentence_pairs,
    shared_corpus,
    shared_run,
    short_demo,
    silent,
    tiny_config,
    write_corpus,
    write_text,
)
from safetensors.torch import load_file

import pyro_align
from pyro_align.data import ParallelText, demo
from pyro_align.errors import ConfigError, IncompatibleError, RunError
from pyro_align.inference import ScoreFunctionELBO
from pyro_align.runs import Run
from pyro_align.training import TrainingModule, save_weights

FRESH = {"guide__hidden": 6}
"""A size that differs from that of the guide of :func:`shared_run`."""


def weights(folder, name="weights"):
    return load_file(folder / f"{name}.safetensors")


def of(program, tensors):
    return {name: value for name, value in tensors.items() if name.startswith(f"{program}.")}


def are_equal(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def elbo(run):
    text = ParallelText.open(shared_corpus()["valid"])
    return run.evaluate(text, translate=False).positions.elbo


@pytest.fixture
def sharp(tmp_path):
    """A run whose prior and posterior are far from the flat guide at the start."""
    run = pyro_align.load(copied(tmp_path))
    with torch.no_grad():
        for parameter in run.model.networks.decoder.scorer.parameters():
            parameter *= 40
    save_weights(run.path / "weights.safetensors", run.programs, run._notes())
    return Run.load(run.path)


def test_a_new_guide_is_fitted_to_a_frozen_model(sharp):
    run = sharp.swap_guide("amortized", echo=silent, **FRESH)
    assert run.config.training.freeze_model
    start = of("guide", weights(run.path, "start"))
    before = elbo(run)
    run.fit(echo=silent)
    assert elbo(run) > before
    assert are_equal(of("model", weights(run.path)), of("model", weights(sharp.path)))
    assert not any(torch.equal(of("guide", weights(run.path))[k], start[k]) for k in start)
    again = Run.load(run.path)
    assert are_equal(again.model.state_dict(), sharp.model.state_dict())
    assert elbo(again) == pytest.approx(elbo(run), rel=1e-6)


@pytest.mark.parametrize("baseline", ["none", "network"])
def test_a_frozen_model_gets_no_gradient(tmp_path, monkeypatch, baseline):
    seen = []

    def watched(self, model, guide, batch):
        found = terms(self, model, guide, batch)
        with torch.no_grad():
            weight = model.networks.source_embedding.weight.grad
        seen.append((model.training, guide.training, weight, model.states(batch).scores))
        return found

    terms = ScoreFunctionELBO.terms
    monkeypatch.setattr(ScoreFunctionELBO, "terms", watched)
    run = Run.load(shared_run()).swap_guide(
        "amortized",
        objective="score-function",
        objective__baseline=baseline,
        out=tmp_path / "new",
        echo=silent,
        **FRESH,
    )
    seen.clear()  # the calls of the trial before the run was created
    run.fit(echo=silent)
    assert len(seen) > 6
    for model_trains, guide_trains, gradient, scores in seen:
        assert (model_trains, guide_trains) == (False, True)
        assert gradient is None
        assert not scores.requires_grad
    assert all(parameter.requires_grad for parameter in run.model.parameters())
    # The optimiser holds the parameters of the guide and of the objective.
    saved = checkpoint(run.path)
    network = {k: v for k, v in saved["state_dict"].items() if "objective.network" in k}
    assert len(network) == (4 if baseline == "network" else 0)
    (optimizer,) = saved["optimizer_states"]
    (group,) = optimizer["param_groups"]
    assert len(group["params"]) == len(list(run.guide.parameters())) + len(network)
    assert all(tensor.any() for tensor in network.values())  # its output layer starts at zero


def test_with_a_frozen_model_the_best_epoch_has_the_best_elbo(tmp_path, monkeypatch):
    """All epochs but one have a random, nearly one-hot guide; the second has a flat one."""

    def spoiled(self):
        begin(self)
        with torch.no_grad():
            for parameter in self.elbo.guide.parameters():
                parameter.normal_(std=10) if self.current_epoch != 1 else parameter.zero_()

    begin = TrainingModule.on_train_epoch_start
    monkeypatch.setattr(TrainingModule, "on_train_epoch_start", spoiled)
    run = Run.load(shared_run()).swap_guide(
        "amortized",
        out=tmp_path / "new",
        echo=silent,
        training__learning_rate=1e-30,
        training__schedule="plateau",
        training__patience=0,
        training__early_stopping=2,
        training__epochs=9,
    )
    run.fit(echo=silent)
    with (run.path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    valid = [row for row in rows if row["valid/elbo"]]
    assert len({row["valid/perplexity"] for row in valid}) == 1
    elbos = [float(row["valid/elbo"]) for row in valid]
    assert len(elbos) == 4  # stops after two epochs without progress
    assert elbos[1] > max(elbos[0], *elbos[2:])
    assert elbo(run) == pytest.approx(elbos[1], rel=1e-4)
    rates = {row["epoch"]: row["train/learning_rate"] for row in rows if row["train/elbo"]}
    assert [float(rate) for rate in rates.values()] == [1e-30, 1e-30, 1e-30, 5e-31]


def test_without_freezing_model_and_guide_are_trained_further(tmp_path):
    old = Run.load(shared_run())
    run = old.swap_guide("corrected-prior", freeze_model=False, out=tmp_path / "new", echo=silent)
    assert elbo(run) == elbo(old)
    run.fit(echo=silent)
    for program in ("model", "guide"):
        start, end = (of(program, weights(run.path, name)) for name in ("start", "weights"))
        assert are_equal(start, of(program, weights(old.path)))
        assert not are_equal(start, end)


def test_only_a_guide_of_the_same_kind_and_size_keeps_its_weights(tmp_path):
    old = Run.load(shared_run())
    told = []

    def is_kept(name, guide, **settings):
        told.clear()
        run = old.swap_guide(guide, out=tmp_path / name, echo=told.append, **settings)
        return any("starts from the weights of" in line for line in told), run.guide

    kept, guide = is_kept("same", "corrected-prior")
    assert kept
    assert are_equal(guide.state_dict(), old.guide.state_dict())
    for name, other, settings in (("sizes", "corrected-prior", FRESH), ("kind", "transformer", {})):
        kept, guide = is_kept(name, other, **settings)
        assert not kept
        assert "guide: fresh" in told


def test_the_model_is_frozen_by_default_if_the_guide_has_parameters(tmp_path):
    old = pyro_align.load(copied(tmp_path))
    for guide, frozen in (("prior", False), ("none", False), ("transformer", True)):
        run = old.swap_guide(guide, echo=silent)
        assert run.path == tmp_path / f"run-{guide}"
        assert run.config.training.freeze_model is frozen
        run.fit(echo=silent)
        was_trained = not are_equal(run.model.state_dict(), old.model.state_dict())
        assert was_trained is not frozen
    assert old.swap_guide("prior", echo=silent).path == tmp_path / "run-prior-2"


def test_the_global_random_state_is_unchanged(tmp_path):
    old = Run.load(shared_run())
    before = torch.get_rng_state()
    old.swap_guide("transformer", out=tmp_path / "new", echo=silent)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_default_objective_is_compatible_with_the_guide(tmp_path):
    old = Run.load(shared_run())
    for number, (guide, objective, expected) in enumerate(
        [
            ("none", None, "exact"),
            ("gumbel", None, "gumbel-softmax"),
            ("transformer", None, old.config.objective.name),
            ("amortized", "rws", "rws"),
        ]
    ):
        run = old.swap_guide(guide, objective=objective, out=tmp_path / str(number), echo=silent)
        assert (run.config.guide.name, run.config.objective.name) == (guide, expected)


def test_options_are_kept_with_the_same_objective_only(tmp_path):
    config = tiny_config(
        shared_corpus(),
        network__cell="gru",
        training__max_steps=1,
        objective__name="enumerated",
        objective__free_bits=0.25,
    )
    old = fitted(config, tmp_path / "old")
    for guide, expected in (("transformer", {"free_bits": 0.25}), ("none", {})):
        assert old.swap_guide(guide, echo=silent).config.objective.options == expected


def test_the_new_run_works_without_the_old_one(tmp_path):
    old = pyro_align.load(copied(tmp_path))
    run = old.swap_guide("transformer", out=tmp_path / "new", echo=silent)
    assert names(run.path) == [
        "config.toml",
        "data.json",
        "identity.json",
        "run.json",
        "source.model",
        "start.safetensors",
        "target.model",
    ]
    for name in ("source.model", "target.model", "data.json"):
        assert (run.path / name).read_bytes() == (old.path / name).read_bytes()
    shutil.rmtree(old.path)
    shutil.copytree(run.path, tmp_path / "copy")
    shutil.rmtree(run.path)
    Run.resume(tmp_path / "copy").fit(echo=silent)
    again = pyro_align.load(tmp_path / "copy")
    assert are_equal(again.model.state_dict(), old.model.state_dict())


OWN = """
from torch import nn
from pyro_align.guides import AmortizedGuide
from pyro_align.models import CategoricalModel

class MyModel(CategoricalModel):
    pass

class MyGuide(AmortizedGuide):
    def __init__(self, model, *, hidden: int = 4):
        super().__init__(model, hidden=hidden)
"""


def test_user_code_is_copied(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(textwrap.dedent(OWN))
    config = tiny_config(
        shared_corpus(),
        network__cell="gru",
        training__max_steps=1,
        model__name=f"{file}:MyModel",
        guide__name=f"{file}:MyGuide",
    )
    old = fitted(config, tmp_path / "old")
    told = []
    same = old.swap_guide(f"{file}:MyGuide", echo=told.append)
    assert same.path == tmp_path / "old-MyGuide"
    assert f"guide: starts from the weights of {old.path}" in told
    other = old.swap_guide("transformer", echo=silent)
    file.unlink()
    shutil.rmtree(old.path)
    for run in (same, other):
        assert run.config.model.name == "code/mine.py:MyModel"
        run.fit(echo=silent)
        loaded = pyro_align.load(run.path)
        assert are_equal(loaded.model.state_dict(), old.model.state_dict())


def test_the_built_in_corpus_is_copied(tmp_path, monkeypatch):
    config = tiny_config({}, vocabulary__size=60, network__cell="gru", training__max_steps=1)
    with monkeypatch.context() as short:
        short.setattr(demo, "FILES", short_demo(tmp_path))
        old = fitted(config, tmp_path / "old")
    run = old.swap_guide("transformer", seed=9, echo=silent)
    for file in (old.path / "data").iterdir():
        assert (run.path / "data" / file.name).read_bytes() == file.read_bytes()
    shutil.rmtree(old.path)
    run.fit(echo=silent)
    text, gold = run.task.text("test"), run.task.gold
    assert text.source_path == run.path / "data" / "test.de"
    assert gold == run.path / "data" / "test.links"


def test_new_text_keeps_the_old_vocabularies(tmp_path):
    gold = tmp_path / "gold"
    gold.write_text("0-0\n" * 6)
    config = tiny_config(
        shared_corpus(), network__cell="gru", training__max_steps=1, data__gold=gold
    )
    old = fitted(config, tmp_path / "old")
    other = write_corpus(tmp_path / "other", train=15, valid=5)
    data = {f"data__{name}": paths for name, paths in other.items()}
    run = old.swap_guide("transformer", echo=silent, **data)
    run.fit(echo=silent)
    facts = json.loads((run.path / "data.json").read_text())
    assert [facts[name]["pairs"] for name in ("train", "valid")] == [15, 5]
    assert (run.path / "target.model").read_bytes() == (old.path / "target.model").read_bytes()
    # The gold links belonged to the old validation text.
    assert run.config.data.gold is None
    assert old.swap_guide("prior", echo=silent).config.data.gold == gold


def test_changed_text_is_rejected_unless_given_again(tmp_path):
    corpus = write_corpus(tmp_path / "text", train=20, valid=6)
    config = tiny_config(corpus, network__cell="gru", training__max_steps=1)
    old = fitted(config, tmp_path / "old")
    write_text(tmp_path / "text", "train", sentence_pairs(20, 9))
    with pytest.raises(RunError, match=r"train\.de .*not the train text.*--train and --valid"):
        old.swap_guide("prior", echo=silent)
    data = {f"data__{name}": paths for name, paths in corpus.items()}
    assert old.swap_guide("prior", echo=silent, **data).path == tmp_path / "old-prior"


REFUSED = {
    "nothing to train": (
        {"guide": "prior", "freeze_model": True},
        ConfigError,
        "guide 'prior' has no parameters.*nothing to train",
    ),
    "a size of the networks": (
        {"guide": "amortized", "network__embedding": 9},
        ConfigError,
        r"network\.embedding cannot be changed.*weights and vocabularies depend on it",
    ),
    "a model": ({"guide": "amortized", "model__name": "soft"}, ConfigError, r"model\.name"),
    "a vocabulary": ({"guide": "amortized", "vocabulary__size": 9}, ConfigError, "vocabulary"),
    "an incompatible guide": ({"guide": "amortized-dirichlet"}, IncompatibleError, "simplex"),
    "an incompatible objective": (
        {"guide": "amortized", "objective": "gumbel-softmax"},
        IncompatibleError,
        "relaxed",
    ),
    "an unknown guide": ({"guide": "amortised"}, ConfigError, "did you mean 'amortized'"),
    "an unknown setting": ({"guide": "amortized", "training__epoch": 1}, ConfigError, "epochs"),
    "an unknown option": ({"guide": "amortized", "guide__hiden": 1}, ConfigError, "hidden"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_after_an_error_no_folder_is_left(tmp_path, what):
    arguments, kind, match = REFUSED[what]
    old = pyro_align.load(copied(tmp_path))
    with pytest.raises(kind, match=match):
        old.swap_guide(**arguments, echo=silent)
    assert names(tmp_path) == ["run"]


def test_dropout_can_be_changed(tmp_path):
    run = Run.load(shared_run()).swap_guide(
        "amortized", out=tmp_path / "new", echo=silent, network__dropout=0.4
    )
    assert run.config.network.dropout == 0.4


def test_a_run_without_weights_is_rejected(tmp_path):
    run = Run.create(tiny_config(shared_corpus()), tmp_path / "run", echo=silent)
    with pytest.raises(RunError, match="no weights yet"):
        run.swap_guide("prior", echo=silent)
    assert names(tmp_path) == ["run"]


def test_the_starting_run_cannot_be_overwritten(tmp_path):
    old = pyro_align.load(copied(tmp_path))
    config = old.derived({"guide.name": "transformer"})
    with pytest.raises(RunError, match="is the run to start from"):
        Run.create(config, old.path, start=old, overwrite=True, echo=silent)
    assert (old.path / "weights.safetensors").is_file()


def test_freezing_needs_a_trained_run(tmp_path):
    config = tiny_config(shared_corpus(), training__freeze_model=True)
    with pytest.raises(ConfigError, match=r"freeze_model needs a trained run.*--from"):
        Run.create(config, tmp_path / "run", echo=silent)
    assert not names(tmp_path)


def test_freeze_model_is_not_inherited(tmp_path):
    old = pyro_align.load(copied(tmp_path))
    frozen = old.swap_guide("amortized", echo=silent, training__max_steps=1)
    frozen.fit(echo=silent)
    assert not frozen.derived({}).training.freeze_model


def test_dropout_is_off_before_and_after_training(tmp_path):
    run = Run.load(copied(tmp_path)).swap_guide("amortized", out=tmp_path / "new", echo=silent)
    assert not any(module.training for each in run.programs.values() for module in each.modules())
    assert run.fit(echo=silent) is run
    assert not any(module.training for each in run.programs.values() for module in each.modules())
