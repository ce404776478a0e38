"""Settings without effect are rejected before anything is created."""

from __future__ import annotations

import pytest
from runs import shared_corpus, shared_run, silent, tiny_config, write_text

from pyro_align.config import Config, recipe
from pyro_align.config.components import chosen, reject_ineffective_settings
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, fits
from pyro_align.errors import ConfigError
from pyro_align.inference import KL_SCHEDULES
from pyro_align.models import SentenceModel
from pyro_align.runs import Run

LINEAR = {"training__kl_schedule": "linear"}

REFUSED = {
    "the default objective": (
        LINEAR,
        r"training\.kl_schedule = 'linear' has no effect with objective 'exact'.*"
        r"set training\.kl_schedule = 'constant'.*enumerated, score-function",
    ),
    "top-k": (
        {"guide__name": "none", "objective__name": "top-k", "training__kl_schedule": "cyclical"},
        r"'cyclical' has no effect with objective 'top-k'.*set training\.kl_schedule = 'constant'$",
    ),
    "soft attention": ({"model__name": "soft", **LINEAR}, "no effect with objective 'likelihood'"),
    "wake-sleep": ({"objective__name": "rws", **LINEAR}, "no effect with objective 'rws'.*vimco"),
    "a divergence of zero": (
        {"guide__name": "prior", "objective__name": "enumerated", **LINEAR},
        r"kl_schedule = 'linear' has no effect with a guide that equals the prior.*'constant'",
    ),
    "free bits of a divergence of zero": (
        {"guide__name": "prior", "objective__name": "enumerated", "objective__free_bits": 0.1},
        r"objective\.free_bits has no effect with a guide that equals the prior.*free_bits = 0",
    ),
    "a baseline for a guide without parameters": (
        {
            "guide__name": "exact",
            "objective__name": "score-function",
            "objective__baseline": "none",
        },
        r"objective\.baseline has no effect with guide 'exact'.*remove the setting",
    ),
    "a warm-up with the plateau schedule": (
        {"training__warmup_steps": 50},
        r"training\.warmup_steps has no effect with training\.schedule = 'plateau'.*'constant',",
    ),
}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("what", REFUSED)
def test_settings_without_effect_are_rejected(tmp_path, what):
    changes, match = REFUSED[what]
    with pytest.raises(ConfigError, match=match):
        Run.create(tiny_config(shared_corpus(), **changes), tmp_path / "run", echo=silent)
    assert not names(tmp_path)


@pytest.mark.parametrize("name", ["test", "gold"])
def test_test_text_with_the_built_in_corpus_is_rejected(tmp_path, name):
    config = tiny_config({}, **{f"data__{name}": [str(tmp_path)] if name == "test" else tmp_path})
    with pytest.raises(ConfigError, match=rf"data\.{name} has no effect.*--train and --valid"):
        Run.create(config, tmp_path / "run", echo=silent)
    assert not names(tmp_path)


def test_joint_needs_the_same_vocabulary(tmp_path):
    (source, target) = write_text(tmp_path, "any", [("a", "b")])
    for given, refused in (((source, target), True), ((source, source), False)):
        files = dict(zip(("vocabulary__source", "vocabulary__target"), given, strict=True))
        config = chosen(tiny_config(shared_corpus(), vocabulary__joint=True, **files))
        if refused:
            with pytest.raises(
                ConfigError, match=r"vocabulary\.joint has no effect.*the same file"
            ):
                reject_ineffective_settings(config)
        else:
            reject_ineffective_settings(config)


def test_word_dropout_with_a_frozen_model_is_rejected(tmp_path):
    old = Run.load(shared_run())
    changes = {"network__word_dropout": 0.2, "echo": silent}
    with pytest.raises(ConfigError, match=r"word_dropout has no effect on a frozen model"):
        old.swap_guide("transformer", out=tmp_path / "frozen", **changes)
    assert not names(tmp_path)
    trained = old.swap_guide("amortized", freeze_model=False, out=tmp_path / "new", **changes)
    # The settings that the model was trained with cause no error.
    changes = {"guide.name": "transformer", "training.freeze_model": True}
    reject_ineffective_settings(trained.derived(changes), trained.config)


def every_combination():
    for model in MODELS:
        for guide in GUIDES:
            for objective in OBJECTIVES:
                kinds = MODELS.get(model), GUIDES.get(guide), OBJECTIVES.get(objective)
                if fits(*kinds):
                    yield model, guide, objective


@pytest.mark.parametrize(("model", "guide", "objective"), [*every_combination()])
def test_defaults_are_never_rejected(model, guide, objective):
    parts = {"model.name": model, "guide.name": guide, "objective.name": objective}
    is_of_sentences = issubclass(MODELS.get(model), SentenceModel)
    task = [("task", "sentences" if is_of_sentences else "translation")]
    reject_ineffective_settings(Config.load(settings=task).changed(parts))


@pytest.mark.parametrize(
    "name", ["demo", "iwslt14-de-en", "multi30k-de-en", "align", "sentences", "ptb"]
)
def test_recipes_have_no_ineffective_settings(name, monkeypatch, tmp_path):
    monkeypatch.setenv("PYRO_ALIGN_DATA", str(tmp_path))
    reject_ineffective_settings(chosen(Config.load(recipe(name))))


@pytest.mark.parametrize("schedule", KL_SCHEDULES)
@pytest.mark.parametrize("objective", ["enumerated", "score-function", "vimco"])
def test_schedules_are_allowed_with_objectives_that_weight_the_kl(schedule, objective):
    changes = {"objective.name": objective, "guide.name": "amortized"}
    reject_ineffective_settings(
        Config.load().changed({**changes, "training.kl_schedule": schedule})
    )
