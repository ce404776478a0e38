"""The page "Translate": its commands and code are run with a tiny run."""

import shutil

from click.testing import CliRunner
from pages import DOCS, Page
from runs import shared_run

from pyro_align.cli import main

PAGE = Page(DOCS / "how-to" / "translate.md")
TEXT = "ein hund sieht\n\nkein vogel ruft\n"


def test_the_commands_and_the_code_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c", "demo-categorical"):
        shutil.copytree(shared_run(), tmp_path / "runs" / name)
    (tmp_path / "in.de").write_text(TEXT)
    (tmp_path / "in.html").write_text("<b>ein hund</b> sieht <x id='1'/>.\n")
    lines = {}
    for arguments in PAGE.commands:
        result = CliRunner().invoke(main, arguments, input=TEXT)
        assert result.exit_code == 0, (arguments, result.output)
        lines[tuple(arguments[2:])] = result.stdout.count("\n")
    assert lines["in.de", "--mbr", "32"] == 3
    assert (tmp_path / "out.links").read_text().count("\n") == 3

    (code,) = PAGE.code("python")
    namespace = {}
    exec(code, namespace)
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2
    (chosen,) = namespace["chosen"]
    assert chosen.alignment is not None
