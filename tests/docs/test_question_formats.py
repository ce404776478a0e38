"""The page "Files of questions and images": its examples are read, its code is run."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

from pages import DOCS, Page, tables

from pyro_align.data import read_questions
from pyro_align.data.question_records import _COLUMNS

PAGE = Page(DOCS / "how-to" / "question-formats.md")


def test_the_examples_are_read(tmp_path):
    files = {"a.tsv": "text", "b.jsonl": "json"}
    for name, language in files.items():
        (example,) = PAGE.code(language)
        (tmp_path / name).write_text(example, encoding="utf-8")
    first, second = read_questions([tmp_path / name for name in files])
    assert (first.answer, first.kind, first.regions) == ("white", "colour", {4})
    assert second.answers == ("cup", "a cup", "mug")


def test_the_table_names_every_key():
    (keys,) = (table for table in tables(PAGE.section("Questions")) if "key" in table[0])
    assert {row["key"].strip("`") for row in keys} == {*_COLUMNS, "answers"}


def test_the_command_converts_ids(tmp_path):
    (block,) = PAGE.code("sh")
    (tmp_path / "train36_imgid2idx.pkl").write_bytes(pickle.dumps({9: 0}))
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(block, shell=True, check=True, cwd=tmp_path, env=os.environ | path)
    assert json.loads((tmp_path / "train36_imgid2idx.json").read_text()) == {"9": 0}


def test_the_code_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = PAGE.code("python")
    exec(block, {})
    assert "(3, 8)" in capsys.readouterr().out
