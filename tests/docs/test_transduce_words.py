"""The page "Transduce words": its commands and code are run, with few words and small sizes."""

import re

import pytest
from click.testing import CliRunner
from forms import words, write
from pages import DOCS, Page

from pyro_align.cli import main
from pyro_align.data.demo import words as demo_words

PAGE = Page(DOCS / "how-to" / "transduce-words.md")

SIZES = {
    "network.embedding": 8,
    "network.encoder_hidden": 8,
    "network.decoder_hidden": 8,
    "training.max_steps": 3,
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the files that the page names; only a few built-in words are used."""
    for name in ("train", "valid", "test", "fin", "tur"):
        write(tmp_path / f"{name}.tsv", [line[:2] for line in words(8, 1)])
    write(tmp_path / "forms.tsv", words(8, 1))
    for part, file in demo_words.FILES.items():
        few = list(demo_words.read_lines(file))[:8]
        monkeypatch.setitem(demo_words.FILES, part, write(tmp_path / part, [[one] for one in few]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYRO_ALIGN_RUN", "nowhere")
    return tmp_path


def test_the_commands_and_the_code_work(place, capsys):
    shown = []
    for arguments in PAGE.commands:
        small = [word for key, value in SIZES.items() for word in ("--set", f"{key}={value}")]
        sizes = small if arguments[0] == "fit" else []
        result = CliRunner().invoke(main, [*arguments, *sizes], input="abd\tV;PST\n")
        assert result.exit_code == 0, f"{arguments}: {result.output}"
        shown.append(result.stdout)
    assert [arguments[0] for arguments in PAGE.commands].count("fit") == 6
    (edits,) = [out for out in shown if "Most frequent edits" in out]
    for quantity in ("perplexity", "word error rate", "symbol error rate", "mean edit distance"):
        assert quantity in edits
    assert (place / "words.html").is_file()
    (block,) = PAGE.code("python")
    exec(compile(block, "transduce-words.md", "exec"), {})
    table = capsys.readouterr().out
    assert "word_error_rate" in table


def test_named_settings_exist():
    from pyro_align.config.settings import settings

    known = {setting.key for setting in settings(None, task="transduction")}
    named = set(re.findall(r"\b((?:data|vocabulary|network)\.[a-z_]+)", PAGE.prose))
    assert len(named) >= 5
    assert named <= known
