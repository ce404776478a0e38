from pathlib import Path

import pytest

import pyro_align
from pyro_align.config import AUTO, Config, recipe
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, TASKS, choose

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
    sizes = ("embedding", "hidden", "encoder_hidden", "decoder_hidden", "region_size", "answer")
    fields = type(config.network).model_fields
    small = config.changed({f"network.{name}": 8 for name in sizes if name in fields})
    network = TASKS.get(config.task).trial_network(small)
    model = MODELS.build(config.model.name, config.model.options, network)
    built = GUIDES.build(guide, config.guide.options, model)
    OBJECTIVES.build(objective, config.objective.options).check(model, built)
    for paths in (config.data.train, config.data.valid, config.data.test):
        assert all("$" not in str(path) and path.is_absolute() for path in paths or [])
    if getattr(config.network, "tie_embeddings", None) == "all":
        assert config.vocabulary.joint
