import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import toml

from pyro_align.config import Config, read_toml
from pyro_align.constraints import Table
from pyro_align.errors import ConfigError


def refused(match, *settings, text=None, tmp_path=None):
    path = None
    if text is not None:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=match):
        Config.load(path, settings)


def test_round_trip(tmp_path):
    config = Config.load(
        settings=[
            "training.epochs=7",
            "guide.name=amortized",
            "guide.hidden=5",
            "data.train=['a.de', 'a.en']",
            "data.valid=['b.tsv']",
            "network.dropout=0.25",
        ]
    )
    config.save(tmp_path / "config.toml")
    assert Config.load(tmp_path / "config.toml") == config
    assert config.training.epochs == 7
    assert config.guide.options == {"hidden": 5}
    assert list(tmp_path.iterdir()) == [tmp_path / "config.toml"]


def test_settings_override_the_file_and_the_file_overrides_defaults(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("seed = 3\n[training]\nepochs = 4\npatience = 2\n")
    config = Config.load(path, ["training.epochs=5"])
    assert (config.seed, config.training.epochs, config.training.patience) == (3, 5, 2)
    assert config.training.batch_tokens == Config.load().training.batch_tokens


def test_another_component_does_not_inherit_options(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[guide]\nname = 'amortized'\nhidden = 9\n")
    assert Config.load(path, ["guide.name=prior"]).guide.options == {}
    assert Config.load(path, ["guide.name=amortized"]).guide.options == {"hidden": 9}
    assert Config.load(path, ["guide.layers=2"]).guide.options == {"hidden": 9, "layers": 2}


@given(st.integers(1, 10**6) | st.floats(1e-6, 1e6) | st.booleans())
def test_values_are_read_as_toml(value):
    config = Config.load(settings=[f"guide.some={toml(value)}"])
    assert config.guide.options == {"some": value}
    assert tomllib.loads(config.to_toml())["guide"]["some"] == value


def test_paths_are_absolute_and_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("CORPORA", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.chdir(tmp_path)
    settings = ["data.train=['$CORPORA/a.de', '~/a.en']", "data.valid=['b.tsv']"]
    config = Config.load(settings=settings)
    assert config.data.train == [tmp_path / "a.de", Path("/home/somebody/a.en")]
    assert config.data.valid == [tmp_path / "b.tsv"]


def test_an_unset_variable_in_a_path_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("CORPORA", raising=False)
    monkeypatch.chdir(tmp_path)
    refused(
        r"data\.gold: .*variable CORPORA is not set.*export CORPORA=", "data.gold=$CORPORA/a.links"
    )
    refused("variable CORPORA is not set", "data.gold=${CORPORA}/a.links")
    (tmp_path / "$CORPORA").write_text("a file may have such a name")
    assert Config.load(settings=["data.gold=$CORPORA"]).data.gold == tmp_path / "$CORPORA"


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ("training.epoch=5", r"unknown key 'training\.epoch'; did you mean 'epochs'\?"),
        ("trainig.epochs=5", r"unknown key 'trainig'; did you mean 'training'\?"),
        ("network.drop_out=0.1", r"unknown key 'network\.drop_out'; did you mean 'dropout'\?"),
        ("training.epochs=0", r"training\.epochs: .*or equal to 1, got 0"),
        ("training.epochs=many", r"training\.epochs: .*integer.*got 'many'"),
        ("training.precision=fp8", r"training\.precision: .*'fp32' or 'bf16', got 'fp8'"),
        ("network.dropout=1.0", r"network\.dropout: .*less than 1"),
        ("training", "expected key=value, such as training.epochs=5"),
        ("seed.deep=1", "'seed' is a value, not a table"),
        ("training=5", "training: "),
        ("data.train=['a.tsv']", "training and validation text go together: give --valid too"),
        ("data.valid=['a.tsv']", "give --train too"),
        ("vocabulary.source=a.model", "give both vocabulary.source and vocabulary.target"),
        ("network.tie_embeddings=all", r"needs one vocabulary.*vocabulary\.joint = true"),
        ("name=x", "unknown key 'name'"),
        ("=x", "unknown key"),
    ],
)
def test_bad_settings(setting, match):
    refused(match, setting)


@pytest.mark.parametrize(
    ("setting", "origin"),
    [
        ("training.epochs=0", "settings: training.epochs: "),
        ("training=5", "settings: training: "),
        ("data.train=['a.tsv']", "settings: data: "),
        ("network.tie_embeddings=all", "the configuration: network.tie_embeddings"),
        ("seed=1", "{path}: training.clip: "),
    ],
)
def test_errors_name_the_origin_of_a_value(tmp_path, setting, origin):
    path = tmp_path / "config.toml"
    path.write_text("[training]\nclip = -1\n" if setting == "seed=1" else "seed = 3\n")
    with pytest.raises(ConfigError) as error:
        Config.load(path, [setting])
    assert str(error.value).startswith(origin.format(path=path))
    assert "Value error" not in str(error.value)


def test_settings_as_pairs(tmp_path):
    names = [f"{tmp_path}/🙂.de", f'{tmp_path}/a "quoted".en']
    config = Config.load(None, [("data.train", names), ("data.valid", names), "seed=7"])
    assert config.data.train == [Path(name) for name in names]
    assert config.seed == 7
    config.save(tmp_path / "config.toml")
    assert Config.load(tmp_path / "config.toml") == config


def test_invalid_paths(tmp_path):
    for path, match in (("", "the path is empty"), ("a\udc80", "the path is not UTF-8")):
        with pytest.raises(ConfigError, match=rf"data\.train\.0: {match}"):
            Config.load(None, [("data.train", [path, "b"]), ("data.valid", ["c", "d"])])


def test_the_home_of_an_unknown_user_is_not_expanded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config.load(None, [("data.train", ["~x/a.tsv"]), ("data.valid", ["~x/a.tsv"])])
    assert config.data.train == [tmp_path / "~x" / "a.tsv"]


def test_a_byte_order_mark(tmp_path):
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf[training]\nepochs = 3\n")
    assert Config.load(path).training.epochs == 3


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[training\nepochs = 3", r"config\.toml: not a TOML file: .*line 1"),
        ("[training]\nepochs = \nseed = 1", r"not a TOML file: .*line 2"),
        ("[training]\nepoch = 3", r"config\.toml: unknown key 'training\.epoch'.*'epochs'"),
        ("training = 3", r"config\.toml: training: "),
    ],
)
def test_bad_files(tmp_path, text, match):
    refused(match, text=text, tmp_path=tmp_path)


def test_a_component_without_a_name_is_the_default_one(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[model]\nhidden = 3\n")
    assert Config.load(path).model.name == "categorical"
    assert Config.load(path).model.options == {"hidden": 3}


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.toml: no such file"):
        read_toml(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe4'")
    with pytest.raises(ConfigError, match=r"latin\.toml: not a TOML file"):
        read_toml(tmp_path / "latin.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(tmp_path)


def tables(cls):
    yield cls
    for field in cls.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Table):
            yield from tables(field.annotation)


def test_every_table_rejects_unknown_keys_and_is_frozen():
    found = list(tables(Config.of("translation")))
    assert len(found) >= 4
    for table in found:
        assert table.model_config["extra"] == "forbid"
        assert table.model_config["frozen"]
