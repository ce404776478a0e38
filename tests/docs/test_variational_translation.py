"""The page "Translate with a latent variable of the sentence": its commands and code are run."""

import pytest
from click.testing import CliRunner
from pages import DOCS, Page
from runs import settings, shared_corpus, short_demo

from pyro_align.cli import main
from pyro_align.data import demo

SIZES = settings(training__max_steps=2, vocabulary__size=100)

PAGE = Page(DOCS / "how-to" / "variational-translation.md")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the file that the page names; only a few built-in pairs are used."""
    (tmp_path / "text.de").write_text(shared_corpus()["valid"][0].read_text())
    for part, file in short_demo(tmp_path).items():
        monkeypatch.setitem(demo.FILES, part, file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYRO_ALIGN_RUN", "nowhere")
    return tmp_path


def test_the_commands_and_the_code_work(place, capsys):
    for arguments in PAGE.commands:
        small = [word for each in SIZES for word in ("--set", each)]
        sizes = small if arguments[0] == "fit" else []
        text = (place / "text.de").read_text()
        result = CliRunner().invoke(main, [*arguments, *sizes], input=text)
        assert result.exit_code == 0, f"{arguments}: {result.output}"
    (block,) = PAGE.code("python")
    exec(compile(block, "variational-translation.md", "exec"), {})
    assert capsys.readouterr().out
