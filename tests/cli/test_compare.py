"""``pyro-align compare`` on run folders written by hand, and on one that was fitted."""

import csv
import io
import json
import re

import pytest
from click.testing import CliRunner
from runs import copied

from pyro_align.cli import main
from pyro_align.cli.compare import COLUMNS
from pyro_align.config import Config

FACTS = {
    "sentences": 6,
    "tokens": 89,
    "perplexity": 7.17,
    "log_evidence": -1.97,
    "prior_entropy": 1.24,
    "bleu": 32.77,
    "bleu_signature": "nrefs:1",
    "fit_seconds": 313.5,
}
VARIATIONAL = {
    **FACTS,
    "perplexity": 6.08,
    "elbo": -2.1034567,
    "kl": 0.5,
    "gap": 0.25,
    "bleu": 33.68,
    "alignment": {
        "posterior": {"aer": 0.1, "precision": 1.0, "recall": 1.0},
        "guide": {"aer": 0.2, "precision": 1.0, "recall": 1.0},
        "prior": {"aer": 0.3, "precision": 1.0, "recall": 1.0},
    },
}
METRICS = "step,epoch,train/perplexity\n20,1,50.1\n40,1,\n57,2,20.2\n"


def make(folder, facts=None, **parts):
    """A run folder with the files that the command reads."""
    folder.mkdir()
    (folder / "run.json").write_text('{"format": 2, "pyro_align": "0.1.0", "status": "finished"}')
    settings = [f"{kind}.name='{name}'" for kind, name in parts.items()]
    Config.load(settings=settings).save(folder / "config.toml")
    (folder / "metrics.csv").write_text(METRICS)
    if facts is not None:
        (folder / "results.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def folders(tmp_path):
    soft = make(tmp_path / "a_soft", FACTS, model="soft", guide="none", objective="likelihood")
    return soft, make(tmp_path / "variational", VARIATIONAL, guide="amortized")


def call(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def rows(*arguments):
    result = call("--format", "csv", *arguments)
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_csv_has_all_digits(folders):
    soft, variational = rows(*folders)
    assert soft == {
        "run": str(folders[0]),
        "model": "soft",
        "guide": "none",
        "objective": "likelihood",
        "perplexity": "7.17",
        "elbo": "",
        "kl": "",
        "gap": "",
        "prior_entropy": "1.24",
        "bleu": "32.77",
        "word_error_rate": "",
        "symbol_error_rate": "",
        "mean_edit_distance": "",
        "word_accuracy": "",
        "sentence_nll": "",
        "sentence_kl": "",
        "mutual_information": "",
        "active_units": "",
        "reconstruction_bleu": "",
        "nll": "",
        "answer_accuracy": "",
        "vqa_accuracy": "",
        "gold_accuracy_posterior": "",
        "gold_accuracy_prior": "",
        "aer_posterior": "",
        "aer_guide": "",
        "steps": "57",
        "fit_seconds": "313.5",
    }
    assert variational["elbo"] == "-2.1034567"
    assert (variational["aer_posterior"], variational["aer_guide"]) == ("0.1", "0.2")
    assert variational["guide"] == "amortized"


@pytest.mark.parametrize("name", ["=1+1", "+1", "@SUM(1)", "-1", "\t=1"])
def test_csv_has_no_formulas(tmp_path, monkeypatch, name):
    """A spreadsheet would execute a cell that starts like this as a formula."""
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name, VARIATIONAL)
    (row,) = rows("--", name)
    assert row["run"] == f"'{name}"
    assert row["elbo"] == "-2.1034567"  # a number stays one


@pytest.mark.parametrize("layout", ["table", "markdown", "latex"])
def test_control_characters_in_a_name(tmp_path, monkeypatch, layout):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "a\nb\x1b[1m", FACTS)
    make(tmp_path / "plain", FACTS)
    result = call("a\nb\x1b[1m", "plain", "--format", layout)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == len(
        call("plain", "plain", "--format", layout).stdout.splitlines()
    )
    assert "\x1b" not in result.stdout
    written = result.stdout.replace(r"\textbackslash{}", "\\").replace("\\\\", "\\")
    assert r"a\nb\x1b" in written


def test_table(folders):
    result = call(*folders)
    assert result.exit_code == 0, result.output
    assert not result.stderr
    text = result.stdout
    for value in ("7.170", "6.080", "-2.1035", "0.5000", "1.2400", "33.68", "0.1000", "313.5"):
        assert value in text, value
    assert text.count("–") == 5  # what soft attention does not have


def test_the_table_fits_80_columns(tmp_path):
    facts = {**VARIATIONAL, "perplexity": 12345.678, "elbo": -10.1234, "fit_seconds": 360000.5}
    long = make(tmp_path / ("a-long-name-of-a-run-" * 4), facts, guide="posterior-mixture")
    text = call(long, long).stdout
    assert max(map(len, text.splitlines())) <= 80
    for value in ("12345.678", "-10.1234", "360000.5", "33.68", "0.2500"):
        assert text.count(value) == 2
    assert "…" not in text


def test_columns_without_any_value_are_left_out(folders):
    assert "KL" in call(*folders).stdout
    alone = call(folders[0]).stdout
    assert not re.search("KL|gap|AER|ELBO", alone)
    assert "–" not in alone


@pytest.mark.parametrize(
    ("column", "first"),
    [
        ("perplexity", "variational"),
        ("bleu", "variational"),
        ("elbo", "variational"),
        ("run", "a_soft"),
        ("model", "variational"),
        ("aer_guide", "variational"),
    ],
)
def test_the_best_comes_first(folders, column, first):
    for order in (folders, folders[::-1]):
        found = rows(*order, "--sort", column)
        assert found[0]["run"].endswith(first)


def test_the_largest_bound_comes_first(tmp_path):
    bounds = {"low": -3.0, "high": -1.0, "none": None}
    made = [make(tmp_path / name, {**FACTS, "elbo": value}) for name, value in bounds.items()]
    found = rows(*made, "--sort", "elbo")
    assert [row["elbo"] for row in found] == ["-1.0", "-3.0", ""]


def test_markdown(folders):
    lines = call(*folders, "--format", "markdown").stdout.splitlines()
    assert len(lines) == 4
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert lines[1].count("---:") == 10
    assert r"a\_soft |" in lines[2]
    assert "| 6.080 | -2.1035 |" in lines[3]


def test_latex(folders):
    text = call(*folders, "--format", "latex").stdout
    assert r"\begin{tabular}{llllrrrrrrrrrr}" in text
    assert text.count(r"\\") == 3
    assert r"a\_soft & soft & none & likelihood & 7.170 & -- & -- &" in text
    assert "& 6.080 & $-$2.1035 & 0.5000 &" in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    assert {line.count("&") for line in body.splitlines()[1:]} == {13}


def test_runs_without_results_are_named(folders, tmp_path):
    waiting = make(tmp_path / "waiting")
    result = call(waiting, *folders, "--format", "csv")
    assert result.exit_code == 0
    assert result.stderr.startswith(f"note: {waiting}: skipped, no results yet")
    assert len(result.stdout.splitlines()) == 3
    alone = call(waiting)
    assert (alone.exit_code, alone.stdout) == (0, "")


def test_values_that_cannot_be_compared_are_noted(tmp_path):
    made = [
        make(tmp_path / "a", FACTS),
        make(tmp_path / "b", {**FACTS, "tokens": 90, "estimated": True, "bleu_signature": "x"}),
    ]
    notes = call(*made).stderr.splitlines()
    assert len(notes) == 3
    assert "different text or with different vocabularies" in notes[0]
    assert "BLEU has different signatures" in notes[1]
    assert notes[2] == f"note: {made[1]}: perplexity is estimated from samples, an upper bound"


def test_without_metrics_there_are_no_steps(folders):
    (folders[0] / "metrics.csv").unlink()
    (folders[1] / "metrics.csv").write_text("step\nx\n")
    assert [row["steps"] for row in rows(*folders)] == ["", ""]


def refused(match, *arguments):
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert not result.stdout
    assert re.search(match, result.stderr)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"perplexity": "x"}', '{"alignment": {"guide": 1}}']
)
def test_damaged_results(folders, content):
    (folders[0] / "results.json").write_text(content)
    refused(r"a_soft/results\.json: damaged", *folders)


def test_bad_input(folders, tmp_path):
    refused("nothing: not a run folder", *folders, "nothing")
    refused("not a run folder", tmp_path)
    refused("Missing argument", *())
    refused("no column 'blue': did you mean 'bleu'", *folders, "--sort", "blue")
    (folders[0] / "config.toml").write_text("[model")
    refused(r"config\.toml", *folders)


def test_a_fitted_run(tmp_path):
    run = copied(tmp_path)
    (run / "results.json").write_text(json.dumps(VARIATIONAL))
    (row,) = rows(run)
    assert row["objective"] == Config.load(run / "config.toml").objective.name
    with (run / "metrics.csv").open() as file:
        assert float(row["steps"]) == max(int(line["step"]) for line in csv.DictReader(file))


def test_column_names_are_unique():
    assert len({column.name for column in COLUMNS}) == len(COLUMNS) == 28
