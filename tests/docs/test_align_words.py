"""The page "Word alignment": its code is run, with a lexicon of a few sentences."""

from pages import DOCS, Page
from runs import sentence_pairs

PAGE = Page(DOCS / "how-to" / "align.md")


def test_the_code_works(tmp_path, monkeypatch, capsys):
    pairs = sentence_pairs(8, seed=1)
    for name in ("in", "new"):
        for side, language in enumerate(("de", "en")):
            lines = "".join(f"{pair[side]}\n" for pair in pairs)
            (tmp_path / f"{name}.{language}").write_text(lines)
    (tmp_path / "lexicon.tsv").write_text("hund\tdog\n")
    monkeypatch.chdir(tmp_path)
    for block in PAGE.code("python"):
        exec(compile(block, "align.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert len([line for line in printed if line.startswith("{(")]) == 16
    assert "hund\tdog\t" in (tmp_path / "both.tsv").read_text()
