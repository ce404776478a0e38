"""``pyro-align settings``, help, misspelt names and completion."""

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from pyro_align.cli import COMMANDS, main
from pyro_align.config import Config, config_file, recipe, recipes
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, TASKS
from pyro_align.config.settings import settings


def call(*arguments):
    return CliRunner().invoke(main, arguments)


def completions(*arguments):
    """Return the completions of the last argument."""
    shell = ShellComplete(main, {}, "pyro-align", "_PYRO_ALIGN_COMPLETE")
    *given, incomplete = arguments
    return [item.value for item in shell.get_completions(given, incomplete)]


def test_all_settings_are_shown_in_80_columns():
    result = call("settings")
    assert result.exit_code == 0, result.output
    for setting in settings():
        assert setting.key in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_table_and_a_setting():
    shown = call("settings", "training").stdout
    assert "training.epochs" in shown
    assert "network.cell" not in shown
    assert "plateau" in call("settings", "training.schedule").stdout


@pytest.mark.parametrize("task", [*TASKS])
def test_the_task_is_shown_as_given(task):
    rows = map(str.split, call("settings", "--task", task).stdout.splitlines())
    assert [row[1] for row in rows if row[:1] == ["task"]] == [f'"{task}"']


def test_an_unknown_setting():
    result = call("settings", "training.epoch")
    assert result.exit_code == 2
    assert "did you mean 'training.epochs'?" in result.stderr


@pytest.mark.parametrize(
    ("given", "first"), [("fitt", "fit"), ("evaluat", "evaluate"), ("scores", "score")]
)
def test_misspelt_commands_suggest_the_closest_first(given, first):
    result = call(given)
    assert result.exit_code == 2
    assert f"No such command '{given}'. Did you mean '{first}'" in result.stderr


def test_a_command_without_similar_names():
    assert "Did you mean" not in call("xyzzyx").stderr


def test_help_shows_the_defaults_of_the_configuration():
    text = " ".join(call("fit", "--help").stdout.split())
    config = Config.load()
    assert f"[training.epochs; default: {config.training.epochs}]" in text
    assert f"[seed; default: {config.seed}]" in text
    assert f"[default: {config.model.name}]" in text
    assert "--config FILE|RECIPE" in text
    assert all(name in text.replace("- ", "-") for name in recipes())  # may break at a hyphen


@pytest.mark.parametrize(
    ("command", "default"), [("translate", "1000"), ("diagnose", "48"), ("evaluate", "5")]
)
def test_help_shows_defaults(command, default):
    assert f"[default: {default}" in call(command, "--help").stdout


def test_commands_and_names_are_completed():
    assert completions("") == [*COMMANDS]
    assert completions("fit", "--guide", "am") == [name for name in GUIDES if name[:2] == "am"]
    assert completions("fit", "--model", "") == [*MODELS]
    assert completions("diagnose", "run", "--only", "sc") == ["score-function"]
    assert completions("compare", "--sort", "b") == ["bleu"]
    assert set(completions("fit", "--objective", "")) == {*OBJECTIVES}


def test_settings_are_completed():
    assert completions("fit", "--set", "training.ep") == ["training.epochs="]
    assert completions("fit", "--set", "objective.sam") == ["objective.samples="]
    assert "training" in completions("settings", "tr")
    assert "seed=" in completions("align", "--train", "--set", "s")


def test_recipes_are_completed():
    assert completions("fit", "--config", "de") == ["de", "demo"]  # files as well


def test_a_recipe_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "demo"
    assert config_file(path.relative_to(tmp_path)) == recipe("demo")
    path.mkdir()  # such as a folder of runs
    assert config_file(path.relative_to(tmp_path)) == recipe("demo")
    path.rmdir()
    path.write_text("seed = 3\n")
    assert config_file(path.relative_to(tmp_path)).read_text() == "seed = 3\n"
    result = call("fit", "--config", "demmo")
    assert result.exit_code == 2
    assert "demmo: no such file; give a TOML file, or the name of a recipe: align, demo" in (
        result.stderr
    )
