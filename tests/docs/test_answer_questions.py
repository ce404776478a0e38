"""The page "Answer questions": its commands and code are run, with few questions."""

import re
import shlex

import pytest
from answering import named, questions, write_questions, write_regions
from click.testing import CliRunner
from pages import DOCS, Page

from pyro_align.cli import main
from pyro_align.config.settings import settings

PAGE = Page(DOCS / "how-to" / "answer-questions.md")

SIZES = {"network.hidden": 8, "network.region_size": 8, "training.max_steps": 2}


@pytest.fixture
def place(tmp_path, monkeypatch):
    objects = named(8, 1)
    for name in ("train", "valid", "test"):
        write_questions(tmp_path / f"{name}.jsonl", questions(objects))
    write_regions(tmp_path / "regions.npz", objects)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYRO_ALIGN_RUN", "nowhere")
    return tmp_path


def test_the_commands_and_the_code_work(place, capsys):
    shown = []
    asked = re.search(r"^echo '(.*)' \|", PAGE.text, re.MULTILINE)[1]
    for arguments in PAGE.commands:
        small = [word for key, value in SIZES.items() for word in ("--set", f"{key}={value}")]
        sizes = small if arguments[0] == "fit" else []
        result = CliRunner().invoke(main, [*arguments, *sizes], input=asked)
        assert result.exit_code == 0, f"{shlex.join(arguments)}: {result.output}"
        shown.append(result.stdout)
    assert [arguments[0] for arguments in PAGE.commands].count("fit") == 4
    assert '"question": "what colour is the large thing?"' in "".join(shown)
    for block in PAGE.code("python"):
        exec(compile(block, "answer-questions.md", "exec"), {})
    for name in ("question.png", "questions.html", "questions.npz", "report.html"):
        assert (place / name).is_file()
    assert "gold_accuracy_posterior" in capsys.readouterr().out


def test_named_settings_exist():
    known = {setting.key for setting in settings(None, task="vqa")}
    named_settings = set(re.findall(r"\b((?:data|network|training)\.[a-z_]+)", PAGE.prose))
    assert len(named_settings) >= 5
    assert named_settings <= known
