import gzip

import pytest
import torch
from click.testing import CliRunner
from runs import sentence_pairs, silent

from pyro_align.cli import main
from pyro_align.errors import DataError
from pyro_align.word_alignment import lexicon_lines, read_lexicon, write_lexicon
from pyro_align.word_alignment.hmm import Settings, fit

PAIRS = [("a b", "x y"), ("b c", "y z"), ("A", "x"), ("c b a", "z y x")]


def fitted(tmp_path, pairs=PAIRS, **options):
    return fit(pairs, Settings(), tmp_path, echo=silent, **options)


def test_written_counts_and_probabilities_are_those_of_the_model(tmp_path):
    made = fitted(tmp_path)
    write_lexicon(made, tmp_path / "lexicon.tsv")
    lines = (tmp_path / "lexicon.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    assert [row[:2] for row in rows][:1] == [["a", "x"]]
    assert len(rows) == len({tuple(row[:2]) for row in rows})
    source, target = (each.copy() for each in made.types)
    for one, other, p, number in rows:
        ids = torch.tensor(source.add(one)), torch.tensor(target.add(other))
        expected = made.models[0].lexicon.log_probs(*ids)[0, 1].exp().item()
        assert float(p) == pytest.approx(expected, rel=1e-4)
        assert float(number) >= 0.01
    counts = read_lexicon(tmp_path / "lexicon.tsv")
    assert counts == {(one, other): float(number) for one, other, _, number in rows}
    total = made.models[0].lexicon.counts.sum().item()
    assert sum(counts.values()) == pytest.approx(total, abs=0.01 * 9)


def test_a_lexicon_read_as_prior_is_the_lexicon_before_the_first_pass(tmp_path):
    """Writing, reading and writing again gives the same counts."""
    prior = {("a", "x"): 3.0, ("q", "w"): 1.5}
    made = fitted(tmp_path, prior=prior)
    written = [line.split() for line in lexicon_lines(made)]
    assert ["q", "w", "1.5"] in [[one, other, number] for one, other, _, number in written]
    nothing = Settings(independent=0, markov=0)
    again = fit(PAIRS, nothing, tmp_path, prior=prior, echo=silent)
    assert [line.split()[::3] for line in lexicon_lines(again)] == [["a", "3"], ["q", "1.5"]]


def test_a_dictionary_decides_between_words_that_always_occur_together(tmp_path):
    pairs = [("a b", "y x")]
    for prior, links in (
        ({("a", "x"): 1.0, ("b", "y"): 1.0}, [1, 0]),
        ({("a", "y"): 1.0, ("b", "x"): 1.0}, [0, 1]),
    ):
        forward, reverse = fitted(tmp_path, pairs, prior=prior)[0]
        assert forward.weights.argmax(1).tolist() == reverse.weights.argmax(1).tolist() == links


def test_numbers_are_added_up_and_are_1_if_missing(tmp_path):
    path = tmp_path / "words.tsv.gz"
    with gzip.open(path, "wt") as file:
        file.write("Haus\thouse\n\nhaus\thouse\t2.5\nhaus\tbuilding\t0.5\t3\r\n")
    assert read_lexicon(path) == {("haus", "house"): 3.5, ("haus", "building"): 3.0}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("haus", "expected source word, target word"),
        ("haus\t", "expected source word, target word"),
        ("haus\tthe house\t1", "expected source word, target word"),
        ("a\tb\t1\t2\t3", "expected source word, target word"),
        (
            "a\tb\tc",
            "expected a number of links in the last column, above 0 .* got 'c'",
        ),
        (
            "a\tb\t0",
            "expected a number of links in the last column, above 0 .* got '0'",
        ),
        ("a\tb\tinf", "expected a number of links in the last column"),
        ("a\tb\tnan", "expected a number of links in the last column"),
        ("a\tb\t1e300", "expected a number of links in the last column"),
        ("a\tb\t5\t2", "expected a probability from 0 to 1 in the third column, got '5'"),
        ("a\tb\tc\t2", "expected a probability from 0 to 1 in the third column, got 'c'"),
    ],
)
def test_bad_lines_are_rejected_with_file_and_line(tmp_path, line, message):
    path = tmp_path / "words.tsv"
    path.write_text(f"x\ty\n{line}\n")
    with pytest.raises(DataError, match=rf"words\.tsv:2: {message}"):
        read_lexicon(path)


def test_an_empty_lexicon_is_rejected(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("\n")
    with pytest.raises(DataError, match=r"words\.tsv: the lexicon has no words"):
        read_lexicon(path)


def call(*arguments):
    return CliRunner().invoke(main, ["align", *map(str, arguments)])


def test_command(tmp_path):
    """Text that follows gets the links of the whole text, from the lexicon of the first part."""
    lines = [f"{source} ||| {target}\n" for source, target in sentence_pairs(60, seed=3)]
    for name, part in (("first", lines[:50]), ("next", lines[50:]), ("all", lines)):
        (tmp_path / name).write_text("".join(part))
    lexicon = tmp_path / "lexicon.tsv"
    links = {}
    for name, options in (
        ("first", ("--lexicon", lexicon)),
        ("next", ("--prior", lexicon)),
        ("all", ()),
    ):
        out = tmp_path / f"{name}.links"
        result = call("--train", tmp_path / name, "--out", out, *options)
        assert result.exit_code == 0, result.output
        links[name] = out.read_text().splitlines()
    whole = [set(line.split()) for line in links["all"][50:]]
    later = [set(line.split()) for line in links["next"]]
    common = sum(len(one & other) for one, other in zip(whole, later, strict=True))
    assert 2 * common / sum(map(len, whole + later)) > 0.9


def test_options_that_cannot_be_combined(tmp_path):
    for options, message in (
        (("--train", "--neural", "--prior", tmp_path), "--prior cannot be used with --neural"),
        (("--train", "--neural", "--lexicon", tmp_path / "a"), "--lexicon cannot be used with"),
        ((tmp_path, "--prior", tmp_path), "--prior requires --train"),
        ((tmp_path, "--lexicon", tmp_path / "a"), "--lexicon requires --train"),
    ):
        result = call(*options)
        assert result.exit_code == 2
        assert message in result.output
