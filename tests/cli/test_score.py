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


def test_rates_of_the_example_match_a_hand_computation(files):
    """4 links, 2 of them sure and 3 possible, for 4 sure gold links: Och & Ney 2003."""
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
def test_files_that_do_not_match(files, tmp_path, change, match):
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


ZERO = "0-0 1-1\n\n2-1 0-2\n\n"
ONE = "1-1 2-2\n\n3-2 1-3\n\n"
NAACL = "1 1 1 S\n1 2 2 S\n3 3 2 S\n3 1 3 S\n"
"""The same links; the last pair has none."""


@pytest.mark.parametrize("option", ["--format", "--gold-format"])
def test_positions_that_seem_to_count_from_one(tmp_path, option):
    """The error names the file, which may be either of the two."""
    zero, one = tmp_path / "zero", tmp_path / "one"
    zero.write_text(ZERO)
    one.write_text(ONE)
    files = (one, zero) if option == "--format" else (zero, one)
    result = call(*files)
    assert result.exit_code == 2
    assert "one: no link has position 0 on either side" in result.stderr
    assert f"use {option} talp" in result.stderr
    assert json.loads(call(*files, option, "talp", "--json").stdout)["aer"] == 0
    # Read as Pharaoh, the files share only the link 1-1 of the first pair, of 4 links each.
    misread = json.loads(call(*files, option, "pharaoh", "--json").stdout)
    assert misread["aer"] == 1 - (1 + 1) / (4 + 4)


def test_naacl_has_no_line_for_pairs_without_links(tmp_path):
    pharaoh, naacl = tmp_path / "pharaoh", tmp_path / "naacl"
    pharaoh.write_text(ZERO)
    naacl.write_text(NAACL)
    for files, pairs in (((pharaoh, naacl), 4), ((naacl, pharaoh), 4), ((naacl, naacl), 3)):
        result = call(*files, "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert (found["aer"], found["pairs"]) == (0, pairs)
    naacl.write_text(NAACL + "5 1 1 S\n")
    assert "pharaoh: ends after 4 sentence pairs" in call(pharaoh, naacl).stderr
