"""The page "Test a model or guide": its tests run outside the repository, and can fail."""

import re
import subprocess
import sys

import pytest
from pages import DOCS, Page, named

PAGE = Page(DOCS / "how-to" / "test-a-model-or-guide.md")
CODE = [
    block
    for name in ("write-a-guide", "write-a-model", "test-a-model-or-guide")
    for block in Page(DOCS / "how-to" / f"{name}.md").code("python")
]


@pytest.fixture
def folder(tmp_path):
    """The files of the three pages, and a guide that puts probability on padding."""
    for block in CODE:
        name, text = named(block)
        (tmp_path / name).write_text(text, encoding="utf-8")
    masked = re.compile(r"= mask_logits\(.*$", flags=re.MULTILINE)
    wrong, replaced = masked.subn("= scores * 0", (tmp_path / "lexical.py").read_text("utf-8"))
    assert replaced == 1
    (tmp_path / "wrong.py").write_text(wrong, encoding="utf-8")
    tests = (tmp_path / "test_lexical.py").read_text(encoding="utf-8")
    tests = tests.replace("lexical", "wrong").replace("TestLexicalGuide", "TestWrong")
    (tmp_path / "test_wrong.py").write_text(tests, encoding="utf-8")
    return tmp_path


def test_contracts_accept_the_pages_programs_and_reject_a_wrong_one(folder):
    (block,) = PAGE.code("sh")
    program, *command = block.split()
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *command, "test_wrong.py", "-k", "not TestWrong or padding"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    failed = re.findall(r"^FAILED (\S+)", done.stdout, flags=re.MULTILINE)
    wrong = ["test_no_alignment_to_padding", "test_results_do_not_depend_on_padding"]
    assert failed == [f"test_wrong.py::TestWrong::{name}" for name in wrong], done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= 20
    assert "where" in done.stdout, "assertions are not rewritten: they do not show values"
