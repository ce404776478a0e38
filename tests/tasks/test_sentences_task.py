"""The task `sentences`: fits, evaluation, samples, encodings and interpolations."""

import numpy as np
import pytest
import torch
from runs import fitted, shared_run, silent
from tasks_of_sentences import LINES, config, vae_run, write

from pyro_align.config import Config
from pyro_align.data import demo
from pyro_align.data.demo.sentences import demo_sentences, write_sentences
from pyro_align.errors import ConfigError, UserError
from pyro_align.runs import Run


@pytest.fixture
def run():
    return Run.load(vae_run())


def test_evaluation(run):
    result = run.evaluate(draws=20)
    names = [row.name for row in result.measures()]
    for name in ("negative log likelihood of a sentence", "mutual information", "active units"):
        assert name in names
    assert "reconstruction, exact match" in names
    assert result.sentences == len(LINES) - 3
    assert result.positions.tokens == sum(len(line.split()) + 1 for line in LINES[3:])
    of_sentences = result.of_sentences
    assert of_sentences.draws == 20
    # The bound is below the estimate of the evidence; both are of the same sentences.
    assert of_sentences.elbo < -of_sentences.nll + 0.01
    assert of_sentences.divergences["sentence"] > 0
    assert result.to_dict()["latent_dimensions"] == 3
    again = run.evaluate(draws=20, reconstruct=False)
    assert again.of_sentences == of_sentences
    assert again.latents.reconstruction is None


def test_samples_repeat_and_leave_the_random_state_unchanged(run):
    before = torch.get_rng_state()
    first = run.task.sample(run.model, 6, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert run.task.sample(run.model, 6, seed=3) == first
    assert run.task.sample(run.model, 6, seed=4) != first
    words = {word for line in LINES for word in line.split()} | {"⁇"}
    assert {word for line in first for word in line.split()} <= words


def test_encodings_are_in_the_order_of_the_lines(run):
    lines = [LINES[2], "a cat", LINES[5]]
    means, variances = run.task.encode(run.guide, lines)
    assert means.shape == variances.shape == (3, 3)
    for number, line in enumerate(lines):
        alone = run.task.encode(run.guide, [line])
        torch.testing.assert_close(alone.means[0], means[number])
        torch.testing.assert_close(alone.variances[0], variances[number])


def test_ends_of_an_interpolation_are_the_reconstructions(run):
    found = run.task.interpolate(run.model, run.guide, LINES[0], LINES[7], steps=5)
    assert len(found) == 5
    ends = [
        run.task.interpolate(run.model, run.guide, line, line, steps=2)[0]
        for line in (LINES[0], LINES[7])
    ]
    assert [found[0], found[-1]] == ends


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.task.encode(run.guide, "a cat"), "lines is one string"),
        (lambda run: run.task.encode(run.guide, ["a cat", " "]), "2: the sentence is empty"),
        (lambda run: run.task.encode(run.guide, []), "the text is empty"),
        (lambda run: run.task.interpolate(run.model, run.guide, "a", "b", 1), "steps = 1"),
        (
            lambda run: run.task.interpolate(run.model, run.guide, "a", " "),
            "last sentence is empty",
        ),
        (lambda run: run.predict(["a cat"]), "no outputs to predict"),
        (lambda run: run.task.read(["a", "b"]), "in one file; got a b"),
    ],
)
def test_bad_calls(run, call, message):
    with pytest.raises(UserError, match=message):
        call(run)


@pytest.mark.parametrize("unit", ["words", "pieces"])
def test_a_language_model(tmp_path, unit):
    chosen = config(tmp_path / "text", model__name="language-model", vocabulary__unit=unit)
    chosen = chosen.changed({"vocabulary.size": 60})
    run = fitted(chosen, tmp_path / "run")
    assert run.config.guide.name == "none"
    result = run.evaluate()
    assert result.latents is None
    assert result.of_sentences.elbo is None
    nll = -result.positions.log_evidence * result.positions.tokens / result.sentences
    assert result.of_sentences.nll == pytest.approx(nll)
    # Nothing is sampled, so nothing is called an estimate.
    assert not result.positions.estimated
    rows = {row.name: row.note for row in result.measures()}
    assert "exact perplexity" in rows
    assert not any("samples" in f"{name} {note}" for name, note in rows.items())
    assert len(run.task.sample(run.model, 3)) == 3
    with pytest.raises(UserError, match="'language-model' has no latent variable"):
        run.task.encode(run.guide, ["a cat"])


def test_a_spherical_latent_variable(tmp_path):
    chosen = config(tmp_path / "text", model__name="spherical-vae")
    run = fitted(chosen, tmp_path / "run")
    assert run.config.guide.name == "von-mises-fisher"
    result = run.evaluate(draws=5)
    assert result.of_sentences.divergences["sentence"] > 1
    assert len(run.task.interpolate(run.model, run.guide, LINES[0], LINES[5], 3)) == 3
    with pytest.raises(ConfigError, match="needs 3 dimensions or more"):
        Run.create(chosen.changed({"network.latent": 2}), tmp_path / "two", echo=silent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model.name": "soft"},
            "model 'soft' does not fit the task 'sentences': use language-model, ",
        ),
        (
            {"task": "translation", "model.name": "language-model"},
            "model 'language-model' does not fit the task 'translation': use soft, ",
        ),
    ],
)
def test_models_of_other_tasks(tmp_path, changes, message):
    chosen = Config.load(settings=[("task", "sentences"), *changes.items()])
    with pytest.raises(ConfigError, match=message):
        Run.create(chosen, tmp_path / "run", echo=silent)


def test_the_same_seed_gives_the_same_run(tmp_path):
    weights = [
        fitted(config(tmp_path / "text"), tmp_path / name).path / "weights.safetensors"
        for name in ("one", "two")
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_new_guide_for_a_trained_model(run, tmp_path):
    new = run.swap_guide("gaussian", out=tmp_path / "new", guide__hidden=5, echo=silent)
    before = {name: value.clone() for name, value in new.model.state_dict().items()}
    new.fit(echo=silent, quiet=True)
    after = new.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"bad\.txt: the text is empty"),
        (["a cat", "", "a dog"], r"bad\.txt:2: the sentence is empty"),
        (["a " * 300], r"bad\.txt:1: a sentence of 301 tokens, more than data\.max_length"),
    ],
)
@pytest.mark.parametrize("part", ["train", "valid"])
def test_bad_text_is_found_before_the_fit(tmp_path, part, lines, message):
    bad = write(tmp_path / "bad.txt", lines)
    chosen = config(tmp_path / "text").changed({f"data.{part}": [str(bad)]})
    with pytest.raises(UserError, match=message):
        Run.create(chosen, tmp_path / "run", echo=silent)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.valid": None}, "training and validation sentences go together: give --valid"),
        ({"data.train": ["a.txt", "b.txt"]}, "train has 2 files, but sentences"),
        ({"vocabulary.unit": "syllables"}, "vocabulary.unit"),
    ],
)
def test_bad_settings(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        config(tmp_path / "text").changed(changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.test": ["t.txt"], "data.train": None, "data.valid": None}, "data.test has no"),
        ({"vocabulary.unit": "pieces", "vocabulary.min_count": 2}, "vocabulary.min_count has no"),
    ],
)
def test_settings_without_effect(tmp_path, changes, message):
    chosen = config(tmp_path / "text").changed(changes)
    with pytest.raises(ConfigError, match=message):
        Run.create(chosen, tmp_path / "run", echo=silent)


def test_built_in_sentences_are_the_english_side(tmp_path):
    write_sentences(tmp_path / "data")
    text = [sentence.text for sentence in demo_sentences(tmp_path / "data", "val")]
    demo.write_demo(tmp_path / "pairs")
    assert text == [pair.target for pair in demo.demo_text(tmp_path / "pairs", "val")]


def test_active_units_of_a_run(run):
    means = run.task.encode(run.guide, LINES[3:]).means.numpy()
    expected = int((np.var(means, axis=0, ddof=1) > 0.01).sum())
    assert run.evaluate(draws=2, reconstruct=False).latents.active_units == expected


def test_latents_are_encodings_with_divergences(run):
    found = run.latents(LINES[:4])
    encoded = run.task.encode(run.guide, LINES[:4])
    np.testing.assert_allclose(found.means, encoded.means)
    np.testing.assert_allclose(found.variances, encoded.variances)
    kl = 0.5 * (found.means**2 + found.variances - 1 - np.log(found.variances))
    np.testing.assert_allclose(found.divergences, kl, rtol=1e-4, atol=1e-5)
    assert found.sentences == tuple(LINES[:4])
    assert run.latents().sentences == tuple(LINES[3:])


def test_an_interpolation_is_a_table(run):
    table = run.interpolation(LINES[0], LINES[5], 3)
    assert table["weight"].tolist() == [0, 0.5, 1]
    found = run.task.interpolate(run.model, run.guide, LINES[0], LINES[5], 3)
    assert table["sentence"].tolist() == found


def test_latents_of_other_tasks_are_refused():
    other = Run.load(shared_run())
    for call in (other.latents, lambda: other.interpolation("a", "b")):
        with pytest.raises(UserError, match="has no latent vectors of sentences"):
            call()
