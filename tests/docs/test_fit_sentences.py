"""The page "Fit sentences": its commands and code are run, with few sentences and small sizes."""

import numpy as np
import pytest
from click.testing import CliRunner
from pages import DOCS, Page
from runs import short_demo
from tasks_of_sentences import LINES, write

from pyro_align.cli import main
from pyro_align.data.demo import sentences

PAGE = Page(DOCS / "how-to" / "fit-sentences.md")

SIZES = {"network.embedding": 8, "network.hidden": 8, "training.max_steps": 3}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the files that the page names; only a few built-in sentences are used."""
    for name in ("train", "valid", "test"):
        write(tmp_path / f"{name}.txt", LINES)
    for part, file in short_demo(tmp_path).items():
        monkeypatch.setitem(sentences.FILES, part, file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYRO_ALIGN_RUN", "nowhere")
    return tmp_path


def test_the_commands_and_the_code_work(place, capsys):
    for arguments in PAGE.commands:
        small = [word for key, value in SIZES.items() for word in ("--set", f"{key}={value}")]
        sizes = [*small, "--device", "cpu"] if arguments[0] == "fit" else []
        result = CliRunner().invoke(main, [*arguments, *sizes])
        assert result.exit_code == 0, f"{arguments}: {result.output}"
    with np.load(place / "encoded.npz") as archive:
        assert archive["means"].shape == archive["variances"].shape == (6, 16)
    for block in PAGE.code("python"):
        exec(compile(block, "fit-sentences.md", "exec"), {})
    assert (place / "latents.png").stat().st_size > 1000
    assert capsys.readouterr().out
