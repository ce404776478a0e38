"""`pyro-align inspect`."""

import json
import re

import pytest
from click.testing import CliRunner
from runs import copied, shared_corpus, shared_run

from pyro_align.cli import main


def call(*arguments):
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


@pytest.fixture
def gold(tmp_path):
    path = tmp_path / "gold.links"
    path.write_text("0-0 1?1\n" * 6)
    return path


def data(path):
    text = path.read_text(encoding="utf-8")
    (found,) = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def test_a_report(tmp_path, gold):
    out = tmp_path / "report.html"
    result = call(shared_run(), *shared_corpus()["valid"], "--gold", gold, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}: 6 sentence pairs\n"
    assert not result.stderr
    found = data(out)
    source, target = shared_corpus()["valid"]
    for side, path in (("source", source), ("target", target)):
        lines = [line.split() for line in path.read_text().splitlines()]
        assert [one[side][:-1] for one in found["sentences"]] == lines
    assert [one["gold"] for one in found["sentences"]] == [
        {"sure": [[0, 0]], "possible": [[1, 1]]}
    ] * 6
    assert "Calibration" in out.read_text()


def test_pieces(tmp_path):
    out = tmp_path / "report.html"
    call(shared_run(), *shared_corpus()["valid"], "--out", out, "--pieces")
    found = data(out)
    assert found["units"] == "pieces"
    assert all(text.startswith("▁") for text in (one["source"][0] for one in found["sentences"]))


def test_links_of_the_text_itself(tmp_path):
    text = tmp_path / "text.tsv"
    text.write_text("ein hund\ta dog\t0-0 1-1\nkein\tno\t\n")
    out = tmp_path / "report.html"
    result = call(shared_run(), text, "--out", out)
    assert result.exit_code == 0, result.output
    assert [one["gold"]["sure"] for one in data(out)["sentences"]] == [[[0, 0], [1, 1]], []]


def test_bad_input(tmp_path, gold):
    run = shared_run()
    text = shared_corpus()["valid"]
    out = tmp_path / "report.html"

    def refused(match, *arguments):
        result = call(*arguments, "--out", out)
        assert result.exit_code == 2, result.output
        assert match in result.stderr
        assert not out.exists()

    refused("not a run folder", tmp_path / "nothing", *text)
    refused("no such file", run, text[0], "missing.en")
    refused("parallel text is two files", run, text[0])
    refused("Missing argument", run)
    refused("no such file", run, *text, "--gold", tmp_path / "missing")
    refused("--device nonsense", run, *text, "--device", "nonsense")
    long = tmp_path / "long.tsv"
    long.write_text(f"{'ein ' * 10_000}\ta\n")
    refused("long.tsv:1: a sentence of", run, long)
    gold.write_text("0-0\n")
    refused("1 lines of links for 6", run, *text, "--gold", gold)
    gold.write_text("0-0\n" * 5 + "9-9\n")
    refused("9-9 points outside", run, *text, "--gold", gold)
    damaged = copied(tmp_path)
    (damaged / "data.json").write_text("[]")
    refused("data.json: damaged", damaged, *text)
    out = tmp_path / "nowhere" / "report.html"
    refused("does not exist: create it first", run, *text)
    out = tmp_path / "run"
    result = call(run, *text, "--out", out)
    assert result.exit_code == 2
