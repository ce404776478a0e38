"""Commands on runs of word forms."""

import csv
import io
import json
import shutil
import sys

import pytest
from click.testing import CliRunner
from forms import inflect, shared_forms_run, words, write
from runs import shared_corpus, shared_run

import pyro_align
from pyro_align.cli import main


def call(*arguments, text=None):
    return CliRunner().invoke(main, [*map(str, arguments)], input=text)


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "test.tsv", words(30, 3))


def columns(*names, path):
    chosen = [("source", "target", "features").index(name) for name in names]
    return "".join(
        "\t".join(line.split("\t")[i] for i in chosen) + "\n"
        for line in path.read_text().splitlines()
    )


@pytest.mark.parametrize("name", ["predict", "translate"])
def test_words_are_predicted_with_or_without_their_targets(name, file):
    given = call(name, shared_forms_run(), file)
    assert given.exit_code == 0, given.output
    bare = call(name, shared_forms_run(), text=columns("source", "features", path=file))
    assert bare.stdout == given.stdout
    assert len(given.stdout.splitlines()) == 30


def test_the_best_predictions_have_probabilities():
    result = call("predict", shared_forms_run(), "--n-best", 3, "--scores", text="abd\tN;PL\n")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert rows[0][2] == inflect("abd", "PL")
    assert len({text for *_, text in rows}) == 3
    run = pyro_align.load(shared_forms_run())
    for _, log_probability, text in rows:
        posterior = run.posterior(["abd"], [text], tags=[("N", "PL")])
        total = posterior[0].log_evidence.sum()
        assert float(log_probability) == pytest.approx(total, abs=1e-3)


def test_unknown_symbols_are_told_once():
    result = call("predict", shared_forms_run(), text="aqb\tN;PL\nqad\tN;PL\nabd\tN;XX\n")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    (note,) = [line for line in result.stderr.splitlines() if "not in the vocabulary" in line]
    assert note.startswith("note: 2 symbols not in the vocabulary, 3 in total")
    assert "'q' (2), '[XX]' (1)" in note
    assert (
        "not in the vocabulary"
        not in call("predict", shared_forms_run(), "-q", text="aqb\tN;PL\n").stderr
    )


@pytest.mark.parametrize("command", ["predict", "evaluate", "inspect"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("ab",), "expected tab-separated columns"),
        (("ab", "A", "N", "x"), "got 4 columns"),
        ((" ", "A", "N"), "the source form is empty"),
        (("",), "got an empty line"),
        (("ab", "A", "N;"), "'N;' has an empty feature"),
    ],
)
def test_bad_lines_are_named(tmp_path, command, line, message):
    bad = write(tmp_path / "bad.tsv", [*words(2, 1), line])
    arguments = {
        "predict": [bad],
        "evaluate": ["--test", bad],
        "inspect": [bad, "--out", tmp_path / "report.html"],
    }
    result = call(command, shared_forms_run(), *arguments[command])
    assert result.exit_code == 2
    assert f"{bad}:3: " in result.stderr
    assert message in result.stderr
    assert not (tmp_path / "report.html").exists()


def test_a_table_of_results_and_edits(file):
    result = call("evaluate", shared_forms_run(), "--test", file, "--edits", 5)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    for measure in (
        "exact perplexity",
        "ELBO",
        "word error rate",
        "symbol error rate",
        "mean edit distance",
        "word accuracy",
        "pairs of forms",
    ):
        assert sum(f"  {measure}  " in line for line in lines) == 1, measure
    assert any("Most frequent edits" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_edits_are_those_of_wrong_predictions(tmp_path):
    lines = [("abd", "A A D", "N;SG"), ("bad", "B A D", "N;SG"), ("dab", "D A A", "N;SG")]
    path = write(tmp_path / "wrong.tsv", lines)
    result = call("evaluate", shared_forms_run(), "--test", path, "--edits", 5, "--json")
    found = json.loads(result.stdout)
    (edit,) = found["edits"]
    assert (edit["reference"], edit["prediction"], edit["count"]) == ("A", "B", 2)
    assert edit["source"] == "a"  # the posterior of the correct symbol
    assert found["word_error_rate"] == pytest.approx(200 / 3)
    assert found["symbol_error_rate"] == pytest.approx(200 / 9)


def test_a_report_shows_symbols(tmp_path, file):
    out = tmp_path / "report.html"
    result = call("inspect", shared_forms_run(), file, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{out}: 30 pairs of forms" in result.stdout
    assert "[N]" in out.read_text(encoding="utf-8")


def test_compare_shows_error_rates(tmp_path, file):
    run = shutil.copytree(shared_forms_run(), tmp_path / "run")
    facts = json.loads(call("evaluate", run, "--test", file, "--json").stdout)
    (run / "results.json").write_text(json.dumps(facts))
    (row,) = csv.DictReader(io.StringIO(call("compare", run, "--format", "csv").stdout))
    for name in ("word_error_rate", "symbol_error_rate", "mean_edit_distance", "word_accuracy"):
        assert float(row[name]) == pytest.approx(facts[name])
    table = call("compare", run).stdout
    assert max(map(len, table.splitlines())) <= 80
    for name in ("perplexity", "word_error_rate", "symbol_error_rate", "word_accuracy"):
        digits = 3 if name == "perplexity" else 2
        assert f"{facts[name]:.{digits}f}" in table.split()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["align", shared_forms_run, "x.tsv", "x.tsv"], "give one TSV file with the columns"),
        (["align", shared_forms_run, "x.tsv", "--reverse", "r"], "remove --reverse"),
        (["align", shared_forms_run, "x.tsv", "--language", "fin"], "'fin' is not one of this run"),
        (["align", shared_run, "x.tsv", "--language", "fin"], "the language of words, not of"),
        (["align", shared_forms_run, "bad.tsv"], "bad.tsv:2: the target form is empty"),
        (["evaluate", shared_run, "--edits", "3"], "edits are those of predicted words"),
        (["predict", shared_run, "--language", "fin"], "has no setting for languages"),
        (["evaluate", shared_forms_run, "--gold", "x.tsv"], "gold links of forms are read from"),
        (["evaluate", shared_forms_run, "--edits", "3", "--no-predict"], "--edits needs"),
        (["predict", shared_forms_run, "--language", "fin"], "'fin' is not one of this run"),
        (["predict", shared_forms_run, "--language", "a", "--language", "b"], "give one language"),
    ],
)
def test_wrong_tasks_and_options_are_rejected(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.tsv", words(3, 1))
    write(tmp_path / "bad.tsv", [*words(1, 1), ("abd", "", "N;PL")])
    command, run, *rest = arguments
    result = call(command, run(), *rest, text="abd\n")
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())


def test_runs_of_sentences_still_read_sentences():
    result = call("inspect", shared_run(), *shared_corpus()["valid"], "--out", "/dev/null")
    assert result.exit_code == 0, result.output
    assert "sentence pairs" in result.stdout


@pytest.mark.parametrize("origin", [None, "posterior", "guide", "prior"])
def test_symbols_are_aligned_to_symbols(file, origin):
    run = pyro_align.load(shared_forms_run())
    flags = [] if origin is None else ["--from", origin]
    result = call("align", shared_forms_run(), file, "--probabilities", *flags)
    assert result.exit_code == 0, result.output
    pairs = run.test_pairs(text=[file])
    posterior = run.posterior(pairs.sources, pairs.targets, tags=pairs.tags)
    lines = result.stdout.split("\n")[:-1]
    assert len(lines) == len(posterior) == 30
    for line, one, source, target in zip(
        lines, posterior, pairs.sources, pairs.targets, strict=True
    ):
        matrix, tags = one.matrix(origin or "posterior"), 2
        links = {}
        for t in range(len(target.split())):
            best = int(matrix[t, tags : tags + len(source)].argmax())
            if matrix[t, tags + best] >= 1 - matrix[t, tags : tags + len(source)].sum():
                links[best, t] = matrix[t, tags + best]
        found = {}
        for link in line.split():
            pair, _, probability = link.partition(":")
            found[tuple(map(int, pair.split("-")))] = float(probability)
        assert found == pytest.approx(links, abs=2e-4)


def test_words_from_standard_input_and_shards_are_aligned_alike(tmp_path, file):
    run = shared_forms_run()
    expected = call("align", run, file).stdout
    assert call("align", run, "-", text=file.read_text()).stdout == expected
    (tmp_path / "shards").mkdir()
    shutil.copy(file, tmp_path / "shards" / "a.tsv")
    result = call("align", run, "--shards", tmp_path / "shards", "--out", tmp_path / "links")
    assert result.exit_code == 0, result.output
    (written,) = (tmp_path / "links").iterdir()
    assert written.read_text() == expected


def test_gradients_are_diagnosed_on_words_of_a_file(file):
    arguments = ("--only", "exact", "--repeats", 8, "--sentences", 5)
    result = call("diagnose", shared_forms_run(), "--test", file, *arguments)
    assert result.exit_code == 0, result.output
    assert "on 5 pairs of forms" in " ".join(result.stdout.split())


def test_a_line_typed_wrongly_does_not_end_the_session(monkeypatch, capsys):
    class Terminal:
        buffer = io.BytesIO(b"abd\tN;PL\n\nabd\tN;SG\n")

        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    main(["predict", str(shared_forms_run())], standalone_mode=False)
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [inflect("abd", "PL"), inflect("abd", "SG")]
    assert "error: expected tab-separated columns" in shown.err
    assert "got an empty line" in shown.err


def test_symbols_of_words_are_linked_as_by_align(tmp_path):
    rows = words(8, 3)
    inputs = write(tmp_path / "in.tsv", [(word, tags) for word, _, tags in rows])
    links = tmp_path / "links"
    output = call("predict", shared_forms_run(), inputs, "--alignments", links).stdout
    filled = [
        (word, text, tags) for (word, _, tags), text in zip(rows, output.splitlines(), strict=True)
    ]
    both = write(tmp_path / "both.tsv", filled)
    assert links.read_text() == call("align", shared_forms_run(), both).stdout
    assert any(links.read_text().split())
