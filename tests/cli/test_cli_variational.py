"""The commands with a run whose model has a latent variable of the sentence pair."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from runs import fitted, settings, shared_corpus, shared_run, tiny_config

from pyro_align.cli import main
from pyro_align.config import Config
from pyro_align.config.components import chosen, reject_ineffective_settings
from pyro_align.errors import ConfigError
from pyro_align.inference import score_sentences

LINES = ["ein hund sieht", "", "kein vogel ruft eine katze"]
TEXT = "".join(f"{line}\n" for line in LINES)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = tiny_config(
        shared_corpus(),
        model__name="variational",
        model__latent=3,
        guide__hidden=4,
        objective__free_bits=1,
        network__word_dropout=0.2,
        training__kl_schedule="linear",
        training__kl_steps=4,
    )
    return fitted(config, tmp_path_factory.mktemp("variational") / "run")


def call(*arguments, text=None):
    result = CliRunner().invoke(main, [*map(str, arguments)], input=text)
    assert "Traceback" not in result.output
    return result


def test_the_automatic_choice(run):
    assert run.config.guide.name == "gaussian"
    assert run.config.objective.name == "exact"


def test_evaluate(run):
    result = call("evaluate", run.path, "--json", "--draws", 30, "--beam", 2)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    sentences = found["per_sentence"]
    assert sentences["draws"] == 30
    (batch,) = [run.task.examples("valid").batch(range(6))]
    scores = score_sentences(run.model.eval(), run.guide.eval(), batch, draws=400)
    assert sentences["nll"] == pytest.approx(-scores.log_evidence.mean().item(), rel=0.05)
    kl = scores.divergences["sentence"].mean().item()
    assert sentences["divergences"]["sentence"] == pytest.approx(kl, rel=1e-4)
    assert {"bleu", "elbo", "posterior_entropy"} <= found.keys()
    table = call("evaluate", run.path, "--no-translate")
    assert "100 samples" in table.stdout


def test_translate_with_samples(run, tmp_path):
    plain = call("translate", run.path, "--beam", 2, text=TEXT)
    assert plain.exit_code == 0, plain.output
    found = call(
        "translate", run.path, "--beam", 2, "--samples", 4, "--n-best", 4, "--scores", text=TEXT
    )
    assert found.exit_code == 0, found.output
    translator = run.task.translator(run.model, guide=run.guide, samples=4, n_best=4, beam=2)
    wanted = []
    for translation in translator.translate(LINES):
        wanted += [
            f"{h.score:.4f}\t{h.log_probability:.4f}\t{h.text}" for h in translation.hypotheses
        ] or [""]
    assert found.stdout.split("\n")[:-1] == wanted
    assert len(wanted) > 3


def test_inspect_and_diagnose(run, tmp_path):
    text = shared_corpus()["valid"]
    page = tmp_path / "page.html"
    result = call("inspect", run.path, *text, "--out", page)
    assert result.exit_code == 0, result.output
    assert page.stat().st_size > 10_000
    result = call(
        "diagnose",
        run.path,
        "--sentences",
        2,
        "--repeats",
        8,
        "--only",
        "exact",
        "--only",
        "iwae",
        "--json",
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {"exact", "iwae, K=5"} <= {*found["objectives"]}


def test_errors(run):
    samples = call("translate", shared_run(), "--samples", 3, text=TEXT)
    assert samples.exit_code == 2
    assert "need a model with a latent variable of the sentence" in samples.output
    draws = call("evaluate", shared_run(), "--draws", 3)
    assert draws.exit_code == 2
    assert "--draws has no effect on the model 'categorical'" in draws.output
    both = call("translate", run.path, "--samples", 3, "--mbr", 3, text=TEXT)
    assert both.exit_code == 2
    assert "give one of them" in both.output
    several = call("translate", run.path, "--with", run.path, "--samples", 3, text=TEXT)
    assert several.exit_code == 2
    assert "the model is Ensemble" in several.output


def test_free_bits_need_a_latent_variable_of_the_sentence():
    changes = settings(objective__name="exact", objective__free_bits=1)
    with pytest.raises(ConfigError, match="free_bits has no effect with objective 'exact'"):
        reject_ineffective_settings(chosen(Config.load(settings=changes)))
