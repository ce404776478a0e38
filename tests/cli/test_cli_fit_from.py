"""``pyro-align fit --from``."""

import shutil

import pytest
import torch
from click.testing import CliRunner
from runs import copied, shared_corpus, shared_run, silent, tiny_config, write_corpus
from safetensors.torch import load_file

import pyro_align
from pyro_align.cli import main
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES
from pyro_align.runs import Run


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Create runs in a temporary folder, and reset environment variables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYRO_ALIGN_RUN", "nowhere")


def fit(*arguments):
    return CliRunner().invoke(main, ["fit", *map(str, arguments)])


def model(folder):
    tensors = load_file(folder / "weights.safetensors")
    return {name: value for name, value in tensors.items() if name.startswith("model.")}


def test_a_new_guide_with_the_model_frozen(tmp_path):
    old = copied(tmp_path)
    before = model(old)
    result = fit("--from", old, "--guide", "transformer", "--freeze-model", "--epochs", 2)
    assert result.exit_code == 0, result.output
    assert "guide: fresh" in result.stderr
    assert result.stderr.count("valid perplexity") == 2
    assert "KL(guide ‖ exact posterior)" in result.stdout
    new = tmp_path / "run-transformer"
    shutil.rmtree(old)
    run = pyro_align.load(new)
    assert run.config.guide.name == "transformer"
    assert run.config.objective == Run.load(shared_run()).config.objective
    assert run.config.training.epochs == 2
    assert run.config.network == Run.load(shared_run()).config.network
    after = model(new)
    assert all(torch.equal(before[name], after[name]) for name in before)
    weights = (new / "weights.safetensors").read_bytes()
    for name in ("weights.safetensors", "checkpoints/last.ckpt"):
        (new / name).unlink()
    assert fit("--resume", new).exit_code == 0
    assert (new / "weights.safetensors").read_bytes() == weights


def test_model_and_guide_are_trained_further(tmp_path):
    other = write_corpus(tmp_path / "other", train=15, valid=5)
    text = [word for name, paths in other.items() for word in (f"--{name}", *paths)]
    flags = ["--guide", "gumbel", "--set", "guide.hidden=6", "--set", "training.max_steps=2"]
    result = fit("--from", shared_run(), *flags, "--out", "new", *text)
    assert result.exit_code == 0, result.output
    assert "train: 15 sentence pairs" in result.stderr
    assert "vocabulary:" not in result.stderr
    config = pyro_align.load("new").config
    assert config.objective.name == "gumbel-softmax"
    assert config.guide.options == {"hidden": 6}
    assert not config.training.freeze_model
    before, after = model(shared_run()), model(tmp_path / "new")
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_an_unchanged_name_or_size_is_accepted():
    flags = ["--task", "translation", "--model", "categorical", "--set", "network.embedding=8"]
    settings = ["--set", "training.max_steps=1", "--out", "new"]
    result = fit("--from", shared_run(), *flags, *settings)
    assert result.exit_code == 0, result.output
    assert pyro_align.load("new").config.network == Run.load(shared_run()).config.network


REFUSED = {
    "a task": (
        ["--from", "run", "--task", "vqa"],
        "task cannot be changed in a run that starts from run",
    ),
    "nothing to train": (
        ["--from", "run", "--guide", "prior", "--freeze-model"],
        "guide 'prior' has no parameters, so with a frozen model there is nothing to train",
    ),
    "sizes": (
        ["--from", "run", "--set", "network.embedding=16"],
        "network.embedding cannot be changed in a run that starts from run: its weights and",
    ),
    "a model": (
        ["--from", "run", "--model", "soft"],
        "model.name cannot be changed in a run that starts from run",
    ),
    "a configuration": (
        ["--from", "run", "--config", "a.toml"],
        "--from uses the configuration of its run: remove --config",
    ),
    "an incompatible objective": (
        ["--from", "run", "--guide", "amortized", "--objective", "relaxed"],
        "RelaxedELBO needs",
    ),
    "a frozen model without a run": (["--freeze-model"], "--from RUN"),
    "a frozen model without a run, by setting": (
        ["--set", "training.freeze_model=true"],
        "--from RUN",
    ),
    "resume and from together": (
        ["--resume", "run", "--from", "run"],
        "--resume continues a run with its own settings",
    ),
    "a missing run": (["--from", "nothing"], "nothing: not a run folder"),
    "a run without weights": (["--from", "begun"], "no weights yet"),
    "the run itself as output": (
        ["--from", "run", "--out", "run", "--overwrite"],
        "run is the run to start from",
    ),
    "an existing output": (["--from", "run", "--out", "begun"], "begun exists"),
    "an invalid setting": (["--from", "run", "--set", "epochs"], "expected key=value"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_invalid_options_are_rejected(tmp_path, what):
    arguments, message = REFUSED[what]
    copied(tmp_path)
    Run.create(tiny_config(shared_corpus()), tmp_path / "begun", echo=silent)
    result = fit(*arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert message in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "run"]


def test_help_lists_all_names():
    text = " ".join(fit("--help").stdout.replace("-\n", "-").split())
    for registry in (MODELS, GUIDES, OBJECTIVES):
        for name in registry:
            assert f" {name}," in text.replace("- ", "-")
