import json

import pytest
from click.testing import CliRunner

from pyro_align.cli import main


def call(*arguments):
    return CliRunner().invoke(main, ["score", *map(str, arguments)])


@pytest.fixture
def files(tmp_path):
    links, gold = tmp_path / "links", tmp_path / "gold"
    links.write_text("0-0 1-1 2-2\n0-1\n\n")
    gold.write_text("0-0 1-1 2?2 3-3\n0-0\n\n")
    return links, gold


def test_by_hand(files):
    """4 links, of which 2 are sure and 3 possible, and 4 sure ones: Och & Ney 2003."""
    result = call(*files, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    low, high = found.pop("aer_interval")
    assert found == {"aer": 1 - (2 + 3) / (4 + 4), "precision": 3 / 4, "recall": 2 / 4, "pairs": 3}
    assert low <= found["aer"] <= high
    table = call(*files).stdout
    assert "AER        0.3750" in table
    assert "recall     0.5000   4 sure links" in table


def test_formats(files, tmp_path):
    links = tmp_path / "links.talp"
    links.write_text("1-1 2-2 3-3\n1-2\n\n")
    result = call(links, files[1], "--format", "talp", "--json")
    assert result.stdout == call(*files, "--json").stdout


@pytest.mark.parametrize(("change", "match"), [("0-0\n", "links: ends after 1"), ("", "no sent")])
def test_files_that_do_not_go_together(files, tmp_path, change, match):
    links, gold = files
    links.write_text(change)
    if not change:
        gold.write_text("")
    result = call(links, gold)
    assert result.exit_code == 2
    assert match in result.stderr
    links.write_text("0-0\nx\n\n")
    gold.write_text("0-0\n\n\n")
    result = call(links, gold)
    assert result.exit_code == 2
    assert "links:2" in result.stderr
