"""Predictions with links, JSON and other ways to choose them."""

import json
import os
import sys
from subprocess import PIPE, Popen

import pytest
import torch
from click.testing import CliRunner
from runs import shared_corpus, tiny_config
from support import randomise

import pyro_align
from pyro_align.cli import main
from pyro_align.cli.arriving import ArrivingLines
from pyro_align.data import Markup, split_words
from pyro_align.runs import Run, RunEnsemble
from pyro_align.training.weights import save_weights

LINES = ["ein hund\u00a0 sieht", "", "kein vogel ruft eine  katze", "  ", "klein \tvogel"]
TEXT = "".join(f"{line}\n" for line in LINES)


def call(*arguments, text=None):
    result = CliRunner().invoke(main, [*map(str, arguments)], input=text)
    assert "Traceback" not in result.output
    return result


def translated(*arguments, text=TEXT):
    result = call("translate", *arguments, text=text)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module", params=["categorical", "soft"])
def run(request, tmp_path_factory):
    """A run whose random weights make translations and links diverse."""
    changes = {"categorical": {}, "soft": {"model__name": "soft", "objective__name": "likelihood"}}
    config = tiny_config(shared_corpus(), **changes[request.param])
    run = Run.create(config, tmp_path_factory.mktemp("links") / "run", echo=lambda line: None)
    randomise(run.model, 4, 0.8)
    for program in run.programs.values():
        program.float()
    save_weights(run.path / "weights.safetensors", run.programs, run._notes())
    return run.path


of_one_model = pytest.mark.parametrize("run", ["categorical"], indirect=True)
"""For tests of what does not depend on the model."""


def test_links_are_those_of_forced_decoding(run, tmp_path):
    links = tmp_path / "links"
    output = translated(run, "--alignments", links)
    assert output == translated(run)
    sides = [tmp_path / "in.de", tmp_path / "out.en"]
    for side, text in zip(sides, (TEXT, output), strict=True):
        side.write_text(text)
    assert links.read_text() == call("align", run, *sides).stdout
    found = [line.split() for line in links.read_text().split("\n")[:-1]]
    assert [bool(line) for line in found] == [True, False, True, False, True]
    for line, source, target in zip(found, LINES, output.split("\n"), strict=False):
        ends = [tuple(map(int, link.split("-"))) for link in line]
        assert all(s < len(split_words(source)) for s, _ in ends)
        assert all(t < len(split_words(target)) for _, t in ends)


@of_one_model
def test_each_of_the_n_best_has_a_line_of_links(run, tmp_path):
    links = tmp_path / "links"
    output = translated(run, "--alignments", links, "--n-best", 3)
    assert len(links.read_text().split("\n")) == len(output.split("\n"))


def test_json_has_words_links_and_probabilities(run, tmp_path):
    links = tmp_path / "links"
    output = translated(run, "--json", "--n-best", 2, "--alignments", links)
    objects = [json.loads(line) for line in output.splitlines()]
    assert [each["line"] for each in objects] == [1, 2, 3, 4, 5]
    assert [each["source_words"] for each in objects] == [split_words(line) for line in LINES]
    assert objects[1]["translations"] == []
    flat = [found for each in objects for found in each["translations"]]
    plain = translated(run, "--n-best", 2, "--scores").splitlines()
    assert [
        f"{each['score']:.4f}\t{each['log_probability']:.4f}\t{each['text']}" for each in flat
    ] == [line for line in plain if line]
    lines = [line for line in links.read_text().splitlines() if line]
    assert [" ".join(f"{s}-{t}" for s, t in each["links"]) for each in flat] == lines
    vocabulary = pyro_align.load(run).vocabularies[1]
    for each in flat:
        assert each["words"] == split_words(each["text"])
        assert "".join(each["tokens"]).replace("▁", " ").strip() == each["text"]
        assert len(each["links"]) == len(each["probabilities"])
        assert all(0 < p <= 1 for p in each["probabilities"])
        assert set(each["tokens"]) <= set(vocabulary.pieces(range(len(vocabulary))))


def test_probabilities_are_those_of_the_posterior(run):
    loaded = pyro_align.load(run)
    kind = "posterior" if loaded.config.model.name == "categorical" else "prior"
    for line, found in zip(LINES, loaded.translations(LINES, alignments=True), strict=True):
        if not found.hypotheses:
            continue
        (sentence,) = loaded.posterior([line], [found.text], words=True)
        matrix = torch.as_tensor(sentence.matrix(kind))
        for (source, target), probability in found.alignment.links.items():
            assert probability == pytest.approx(matrix[target, source].item(), abs=1e-5)
            assert probability == pytest.approx(matrix[target, :-1].max().item(), abs=1e-5)


def test_links_of_an_ensemble_are_those_of_the_mean(run):
    loaded = pyro_align.load(run)
    alone = list(loaded.translations(LINES, alignments=True))
    twice = list(RunEnsemble([loaded, loaded]).translations(LINES, alignments=True))
    assert [each.text for each in twice] == [each.text for each in alone]
    for one, other in zip(alone, twice, strict=True):
        if one.alignment:
            assert one.alignment.links == pytest.approx(other.alignment.links)


@of_one_model
def test_links_go_to_a_file_of_their_own(run, tmp_path):
    out = tmp_path / "out"
    out.write_text("kept")
    result = call("translate", run, "--out", out, "--alignments", out, text=TEXT)
    assert result.exit_code == 2
    assert "another file" in result.stderr
    assert out.read_text() == "kept"


def test_tags_enclose_the_linked_words(run, tmp_path):
    lines = ["<b>ein hund</b> sieht {0}", "", "kein <i>vogel <x/> ruft</i> &amp; katze", "<br/>"]
    output = translated(run, "--tags", text="".join(f"{line}\n" for line in lines))
    loaded = pyro_align.load(run)
    expected = []
    for line in lines:
        markup = Markup.cut(line)
        (found,) = loaded.translations([markup.text], alignments=True)
        links = found.alignment.links if found.alignment else ()
        expected.append(markup.put(found.text, links))
    assert output.split("\n")[:-1] == expected
    assert "<b>" in expected[0]
    assert expected[1:] == ["", expected[2], "<br/>"]
    assert [each.text for each in loaded.translations(lines, tags=True)] == expected


@of_one_model
def test_malformed_tags_are_rejected_with_their_line(run, tmp_path):
    source, out = tmp_path / "in.de", tmp_path / "out.en"
    source.write_text("ein hund\nein <b>hund\n")
    result = call("translate", run, source, "--tags", "--out", out)
    assert (result.exit_code, out.exists()) == (2, False)
    assert "in.de:2: <b> is not closed" in result.stderr


@of_one_model
def test_samples_and_minimum_bayes_risk(run):
    loaded = pyro_align.load(run)
    flags = ["--temperature", 0.8, "--top-p", 0.9, "--seed", 5, "--min-output", 3]
    options = {"temperature": 0.8, "top_p": 0.9, "seed": 5, "min_length": 3}

    def expected(**further):
        found = loaded.translations(LINES, **options, **further)
        return [text for each in found for text in [h.text for h in each.hypotheses] or [""]]

    drawn = translated(run, "--sample", "--n-best", 2, *flags).split("\n")[:-1]
    assert drawn == expected(sample=True, n_best=2)
    assert len(drawn) == 3 * 2 + 2
    chosen = translated(run, "--mbr", 6, *flags).split("\n")[:-1]
    assert chosen == expected(mbr=6)
    samples = loaded.translations(LINES, **options, sample=True, n_best=6)
    for text, each in zip(chosen, samples, strict=True):
        assert text in ([h.text for h in each.hypotheses] or [""])


@of_one_model
@pytest.mark.parametrize(
    ("flags", "match"),
    [
        (["--temperature", 2], "--temperature has no effect on beam search"),
        (["--sample", "--beam", 2], "--beam has no effect on samples"),
        (["--mbr", 3, "--length-penalty", 2], "--length-penalty has no effect on samples"),
        (["--mbr", 2, "--n-best", 3], "3 predictions cannot be chosen among 2 samples"),
        (["--sample", "--temperature", 0], "above 0"),
        (["--max-output", 2, "--min-output", 3], "minimum length"),
    ],
)
def test_options_without_effect_or_out_of_range_are_rejected(run, flags, match):
    result = call("translate", run, *flags, text=TEXT)
    assert (result.exit_code, match in result.stderr) == (2, True), result.output


def converse(run, lines):
    """Translate in another process, which gets each line after the answer to the last one."""
    command = ["translate", str(run), "--threads", "1"]
    with Popen(
        [sys.executable, "-c", "from pyro_align.cli import main; main()", *command],
        stdin=PIPE,
        stdout=PIPE,
        encoding="utf-8",
    ) as process:
        for line in lines:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            # Several lines that are sent together are answered together.
            for _ in line.split("\n"):
                yield process.stdout.readline().removesuffix("\n")
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0


@of_one_model
def test_a_line_is_answered_before_the_next_is_sent(run):
    lines = [*LINES, "\n".join(LINES)]
    assert list(converse(run, lines)) == translated(run, text=TEXT * 2).split("\n")[:-1]


def test_lines_that_have_arrived_are_read_together():
    read, write = os.pipe()
    with os.fdopen(read, "rb", buffering=0) as raw, ArrivingLines(raw) as stream:
        os.write(write, b"a\nb\nc")
        windows = []
        assert next(stream) == b"a\n"
        windows.append(stream.ready())
        assert next(stream) == b"b\n"
        windows.append(stream.ready())  # "c" has no end yet
        os.write(write, b"\n")
        assert stream.ready()
        assert next(stream) == b"c\n"
        windows.append(stream.ready())
        os.close(write)
        assert stream.ready()  # the end
        assert list(stream) == []
        assert windows == [True, False, False]
