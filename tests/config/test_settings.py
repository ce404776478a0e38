"""The list of settings is complete and matches the code."""

import inspect
import tomllib

import pytest

from pyro_align.config import Config
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES
from pyro_align.config.settings import Setting, described, matching, settings
from pyro_align.errors import ConfigError

PARTS = {"model": MODELS, "guide": GUIDES, "objective": OBJECTIVES}


def test_every_key_of_a_configuration_is_listed():
    keys = {setting.key for setting in settings(None)}
    written = tomllib.loads(Config.load().to_toml())
    found = {
        f"{table}.{key}" if isinstance(values, dict) else table
        for table, values in written.items()
        for key in (values if isinstance(values, dict) else [""])
    }
    assert found <= keys
    for table in ("data", "vocabulary", "network", "training"):
        fields = type(getattr(Config.load(), table)).model_fields
        assert {f"{table}.{name}" for name in fields} <= keys


@pytest.mark.parametrize("kind", PARTS)
def test_every_option_of_a_part_is_listed_with_its_owner_and_default(kind):
    listed = {
        (owner, setting.key): setting.default
        for setting in settings(kind)
        for owner in setting.owners
    }
    expected = {}
    for name in PARTS[kind]:
        for parameter in inspect.signature(PARTS[kind].get(name)).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                expected[name, f"{kind}.{parameter.name}"] = parameter.default
    assert listed.keys() == expected.keys()
    for place, default in expected.items():
        assert tomllib.loads(f"x = {listed[place]}" if listed[place] else "").get("x") == default


def test_defaults_are_those_of_a_configuration():
    written = tomllib.loads(Config.load().to_toml())
    for setting in settings(None):
        *table, key = setting.key.split(".")
        values = written[table[0]] if table else written
        listed = tomllib.loads(f"x = {setting.default}")["x"] if setting.default else None
        assert listed == values.get(key), setting.key


def test_every_setting_is_described():
    for setting in settings():
        assert setting.description, setting
        assert setting.values != "value", setting
        assert "``" not in setting.description
        assert ":class:" not in setting.description


def test_values_name_choices_and_bounds():
    of = {setting.key: setting.values for setting in settings(None)}
    assert of["network.cell"] == '"lstm", "gru"'
    assert of["network.dropout"] == "number ≥ 0, < 1"
    assert of["data.skip_long"] == "true, false"
    assert of["data.train"] == "list of paths"
    assert "file.py:Class" in of["guide.name"]
    assert all(name in of["guide.name"] for name in GUIDES)


def test_one_key_or_one_table():
    assert [setting.key for setting in matching("seed")] == ["seed"]
    assert {setting.table for setting in matching("training")} == {"training"}
    owners = [setting.owners for setting in matching("objective.samples")]
    assert ("importance-weighted",) in owners
    with pytest.raises(ConfigError, match=r"'training.epoch'; did you mean 'training.epochs'\?"):
        matching("training.epoch")
    with pytest.raises(ConfigError, match=r"did you mean 'objective.samples'\?"):
        matching("objective.sample")


def test_settings_of_a_class_are_described_by_it_and_its_bases():
    class Base:
        """Base.

        Args:
            first: of ``x``, see
                :func:`~pyro_align.load`.
            second: of the base.

        Raises:
            ValueError: never.
        """

    class Derived(Base):
        """Derived.

        Args:
            second: of its own.
        """

    assert described(Derived) == {"first": "of x, see pyro_align.load", "second": "of its own"}


def test_text():
    assert Setting("a.b", "1", "integer", "what", ("x", "y")).text == "x, y: what (integer)"
    assert Setting("a.b", "1", "integer", "what").table == "a"
