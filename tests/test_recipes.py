from pathlib import Path

import pytest

import pyro_align
from pyro_align.config import AUTO, Config, recipe
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, choose
from pyro_align.networks import SequenceToSequence

RECIPES = sorted((Path(pyro_align.__file__).parent / "recipes").glob("*.toml"))


def test_recipes_are_in_the_package():
    assert recipe("demo") in RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_can_be_built(path, monkeypatch, tmp_path):
    monkeypatch.setenv("PYRO_ALIGN_DATA", str(tmp_path))
    config = Config.load(path)
    named = [
        None if component.name == AUTO else component.name
        for component in (config.guide, config.objective)
    ]
    guide, objective = choose(config.model.name, *named)
    size = getattr(config.vocabulary, "size", 50)  # a vocabulary of symbols has no given size
    small = config.network.model_copy(
        update={"embedding": 4, "encoder_hidden": 4, "decoder_hidden": 4}
    )
    model = MODELS.build(
        config.model.name, config.model.options, SequenceToSequence.from_config(small, size, size)
    )
    built = GUIDES.build(guide, config.guide.options, model)
    OBJECTIVES.build(objective, config.objective.options).check(model, built)
    for paths in (config.data.train, config.data.valid, config.data.test):
        assert all("$" not in str(path) and path.is_absolute() for path in paths or [])
    if config.network.tie_embeddings == "all":
        assert config.vocabulary.joint
