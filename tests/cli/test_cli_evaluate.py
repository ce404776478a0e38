import json
import math

import pytest
from click.testing import CliRunner
from runs import copied, sentence_pairs, shared_corpus, shared_run, write_text

import pyro_align
from pyro_align.cli import main
from pyro_align.data import ParallelText
from pyro_align.tasks import Translation


def call(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


@pytest.fixture
def gold(tmp_path):
    path = tmp_path / "gold.links"
    path.write_text("0-0 1?1\n" * 6)
    return path


def test_json_agrees_with_python(gold):
    result = call(shared_run(), "--test", *shared_corpus()["valid"], "--gold", gold, "--json")
    assert result.exit_code == 0, result.output
    assert not result.stderr
    found = json.loads(result.stdout)
    run = pyro_align.load(shared_run())
    text = ParallelText.open(shared_corpus()["valid"])
    expected = run.evaluate(text).to_dict()
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert math.log(found["perplexity"]) == pytest.approx(-found["log_evidence"])
    assert found["elbo"] == pytest.approx(found["log_evidence"] - found["gap"], rel=1e-4)
    assert found["bleu_signature"].startswith("nrefs:1|case:mixed")
    assert set(found["alignment"]["posterior"]) == {"aer", "aer_interval", "precision", "recall"}


def test_table(gold):
    result = call(shared_run(), "--test", *shared_corpus()["valid"], "--gold", gold)
    assert result.exit_code == 0, result.output
    assert not result.stderr
    lines = result.stdout.splitlines()
    for measure in (
        "exact perplexity",
        "ELBO",
        "KL(guide ‖ prior)",
        "KL(guide ‖ exact posterior)",
        "entropy of the prior",
        "BLEU",
        "chrF",
        "AER of the posterior",
        "AER of the guide",
    ):
        assert sum(f"  {measure}  " in line for line in lines) == 1, measure
    assert any("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_the_default_text_is_that_of_the_run():
    with_text = call(shared_run(), "--test", *shared_corpus()["valid"], "--json").stdout
    assert call(shared_run(), "--json").stdout == with_text


def test_the_text_of_the_run_is_opened_once(monkeypatch):
    folder, asked = shared_run(), []
    text = Translation.text

    def watched(task, part):
        asked.append(part)
        return text(task, part)

    monkeypatch.setattr(Translation, "text", watched)
    assert call(folder, "--no-translate").exit_code == 0
    assert len(asked) == 1


def test_without_translations():
    found = json.loads(call(shared_run(), "--no-translate", "--json").stdout)
    assert "bleu" not in found
    assert found["perplexity"] > 1


@pytest.mark.parametrize("suffix", ["tsv", "jsonl"])
def test_one_file(tmp_path, suffix):
    path = tmp_path / f"text.{suffix}"
    with path.open("w") as file:
        for source, target in sentence_pairs(6, 2):
            pair = {"source": source, "target": target}
            print(json.dumps(pair) if suffix == "jsonl" else f"{source}\t{target}", file=file)
    two = call(shared_run(), "--test", *shared_corpus()["valid"], "--no-translate", "--json")
    one = call(shared_run(), "--test", path, "--no-translate", "--json")
    assert one.stdout == two.stdout


def refused(match, *arguments):
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert not result.stdout
    assert match in result.stderr


def test_bad_input(tmp_path, gold):
    run = shared_run()
    source, target = shared_corpus()["valid"]
    refused("missing.de: no such file", run, "--test", "missing.de", target)
    refused("the second file, with the target side, is missing", run, "--test", source)
    short = tmp_path / "short.en"
    short.write_text("a\n")
    refused("short.en:1: ends after 1 lines", run, "--test", source, short)
    latin = tmp_path / "latin.en"
    latin.write_bytes(b"\xfc\n" * 6)
    refused("latin.en:1: not UTF-8", run, "--test", source, latin)
    empty = tmp_path / "empty.tsv"
    empty.write_text("")
    refused("the corpus is empty", run, "--test", empty)
    long = write_text(tmp_path, "long", [("ein " * 10_000, "a")])
    refused("long.de:1: a sentence of", run, "--test", *long)
    gold.write_text("0-0\n")
    refused("1 lines of links for 6", run, "--test", source, target, "--gold", gold)
    gold.write_text("0-0\n" * 5 + "0=0\n")
    refused("gold.links:6: '0=0' is not a link", run, "--test", source, target, "--gold", gold)
    refused("no such file", run, "--gold", tmp_path / "missing")
    refused("nothing: not a run folder", "nothing", "--test", source, target)
    refused("--device nonsense: not available", run, "--device", "nonsense")


def test_a_limit_of_length():
    refused("at most 3 can be evaluated", shared_run(), "--max-length", 3)


def test_damaged_and_newer_runs(tmp_path):
    run = copied(tmp_path)
    weights = run / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    refused("weights.safetensors: damaged", run)
    (run / "run.json").write_text('{"format": 99, "pyro_align": "7.0"}')
    refused("created by pyro-align 7.0", run)
