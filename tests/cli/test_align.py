import gzip
import io
import json
import os
import pickle
import signal
from functools import cache
from itertools import pairwise

import pytest
from click.testing import CliRunner
from runs import (
    LEXICON,
    WORKPLACE,
    fitted,
    sentence_pairs,
    settings,
    shared_corpus,
    shared_run,
    tiny_config,
    write_text,
)

import pyro_align
from pyro_align import word_alignment as alignment
from pyro_align.cli import main
from pyro_align.cli.align import align
from pyro_align.cli.aligners import Links, SavedAligner
from pyro_align.cli.options import LINK_FORMATS
from pyro_align.data import FORMATS, LinkFile, format_links
from pyro_align.training.module import TrainingModule
from pyro_align.word_alignment import Aligner, MinimumRisk, Pair, WordTables, writer

PAIRS = [("ein hund sieht", "a dog sees"), ("", ""), ("kein vogel", ""), ("alt klein", "old small")]
TEXT = "".join(f"{source} ||| {target}\n" for source, target in PAIRS)


def call(*arguments, text=None):
    return CliRunner().invoke(main, ["align", *map(str, arguments)], input=text)


def lines(*arguments, text=TEXT):
    result = call(*arguments, text=text)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("\n")
    return result.stdout.split("\n")[:-1]


@cache
def reverse_run():
    """A run from English to German."""
    turned = {name: [target, source] for name, (source, target) in shared_corpus().items()}
    return fitted(tiny_config(turned, network__cell="gru"), WORKPLACE / "reverse").path


@cache
def unsure_run():
    """A run whose prior and posterior differ."""
    config = tiny_config(
        shared_corpus(), network__cell="gru", training__epochs=3, guide__name="amortized"
    )
    return fitted(config, WORKPLACE / "unsure").path


def expected(reverse=None, form="pharaoh", origin=None, probabilities=False, **options):
    def tables(folder):
        run = pyro_align.load(folder)
        return WordTables(run.model, run.guide, run.vocabularies, origin=origin)

    aligner = Aligner(tables(shared_run()), reverse and tables(reverse), **options)
    pairs = [Pair(*pair, line) for line, pair in enumerate(PAIRS, start=1)]
    written = map(writer(form, probabilities=probabilities), aligner.align(pairs))
    return "".join(written).split("\n")[:-1]


def test_the_lists_of_names_are_complete():
    choices = {option.name: option.type for option in align.params}
    assert tuple(choices["form"].choices) == LINK_FORMATS == FORMATS
    assert tuple(choices["symmetrise"].choices) == tuple(alignment.SYMMETRISATIONS)
    assert tuple(choices["decode"].choices) == tuple(alignment.DECODERS)
    assert tuple(choices["origin"].choices) == alignment.ORIGINS


def test_from_standard_input():
    found = lines(shared_run())
    assert found == lines(shared_run(), "-") == expected()
    assert len(found) == 4
    assert found[0]
    assert found[1] == found[2] == ""


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["two", "tsv", "jsonl", "fa"])
def test_from_files(tmp_path, form, packed):
    text = {
        "tsv": "".join(f"{source}\t{target}\n" for source, target in PAIRS),
        "jsonl": "".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in PAIRS),
        "fa": TEXT,
    }
    paths = write_text(tmp_path, "in", PAIRS)
    if form != "two":
        paths = [tmp_path / f"in.{form}"]
        paths[0].write_text(text[form])
    if packed:
        for path in paths:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        paths = [path.with_name(f"{path.name}.gz") for path in paths]
    assert lines(shared_run(), *paths) == expected()


def test_options_reach_the_aligner():
    assert lines(shared_run(), "--format", "jsonl") == expected(form="jsonl")
    assert lines(shared_run(), "--probabilities") == expected(probabilities=True)
    assert lines(shared_run(), "--decode", "mbr") == expected(decode=MinimumRisk())
    assert lines(shared_run(), "--decode", "threshold") == expected(decode=alignment.Threshold(0.5))
    found = lines(shared_run(), "--decode", "threshold", "--threshold", 0.1)
    assert found == expected(decode=alignment.Threshold(0.1))
    posterior = lines(shared_run(), "--format", "jsonl", "--from", "posterior")
    for origin in ("guide", "prior"):
        found = lines(shared_run(), "--format", "jsonl", "--from", origin)
        assert found == expected(form="jsonl", origin=origin) != posterior


def test_two_directions():
    found = lines(shared_run(), "--reverse", reverse_run())
    assert found == expected(reverse_run())
    kinds = {
        name: lines(shared_run(), "--reverse", reverse_run(), "--symmetrise", name)
        for name in alignment.SYMMETRISATIONS
    }
    assert kinds["grow-diag-final-and"] == found
    for name, kind in alignment.SYMMETRISATIONS.items():
        assert kinds[name] == expected(reverse_run(), symmetrise=kind)
    assert kinds["union"] != kinds["intersect"]


def test_to_a_file(tmp_path):
    out = tmp_path / "links"
    result = call(shared_run(), "--out", out, text=TEXT)
    assert (result.exit_code, result.output) == (0, "")
    assert out.read_text().split("\n")[:-1] == expected()
    assert [path.name for path in tmp_path.iterdir()] == ["links"]


def test_empty_input():
    assert call(shared_run(), text="").stdout == ""


def refused(match, *arguments, text=TEXT):
    result = call(*arguments, text=text)
    assert result.exit_code == 2, result.output
    assert match in result.stderr
    assert "Traceback" not in result.output
    assert not result.stdout


@pytest.fixture
def untouched(tmp_path):
    """A file of links that must not change after a failure."""
    out = tmp_path / "links"
    out.write_text("kept")
    yield out
    assert out.read_text() == "kept"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"ein ||| a\nein a\n", "<stdin>:2: expected source ||| target"),
        (b"ein ||| a\n" + b"ein " * 5_000 + b"||| a\n", "<stdin>:2: the source sentence has"),
        (b"ein ||| a\nh\xfcnd ||| a\n", "<stdin>:2: not UTF-8"),
        (b"ein ||| a\n" + b"\n" * 5_000 + b"ein\n", "<stdin>:5002: expected"),
    ],
)
def test_bad_text(untouched, text, match):
    refused(match, shared_run(), "--out", untouched, text=text)


def test_bad_files_and_options(tmp_path, untouched):
    run = shared_run()
    refused("no.de: no such file", run, "no.de", "no.en", "--out", untouched)
    refused("two files", run, "a", "b", "c", "--out", untouched)
    refused("folder", run, tmp_path, "--out", untouched)
    refused("nothing: not a run folder", "nothing", "--out", untouched)
    refused("nothing: not a run folder", run, "--reverse", "nothing", "--out", untouched)
    refused("at most 3", run, "--max-length", 3, "--out", untouched)
    refused("a threshold is", run, "--decode", "threshold", "--threshold", 2, "--out", untouched)
    refused(
        "talp has no probabilities", run, "--format", "talp", "--probabilities", "--out", untouched
    )
    refused("no does not exist: create it first", run, "--out", tmp_path / "no" / "out")


def test_options_that_cannot_be_combined(tmp_path):
    run = shared_run()
    refused("give a RUN to align")
    refused("--symmetrise needs two directions", run, "--symmetrise", "union")
    refused("--threshold requires", run, "--threshold", 0.3)
    refused("--epochs requires --train", run, "--epochs", 3)
    refused("--set requires --train", run, "--set", "seed=3")
    refused("--one-direction requires --train", run, "--one-direction")
    refused("remove --reverse and --shards", "--train", "a", "b", "--reverse", run)
    refused("--epochs requires --neural", "--train", "a", "b", "--epochs", 3)
    refused("--set requires --neural", "--train", "a", "b", "--set", "seed=3")
    refused("--from requires --neural", "--train", "a", "b", "--from", "prior")
    refused("--fast cannot be used", "--train", "--neural", "a", "b", "--fast")
    refused("two files", "--train")
    refused("--shards DIR", run, "--shards", tmp_path)
    refused("--shards DIR", run, "a", "b", "--shards", tmp_path, "--out", tmp_path / "x")
    refused("--ray requires --shards", run, "--ray", "auto")
    refused("--ray requires --shards", "--train", "a", "b", "--ray", "auto")
    folders = ["--shards", tmp_path, "--out", tmp_path / "x"]
    refused("--workers requires --ray", run, *folders, "--workers", 2)
    refused("every worker has one GPU", run, *folders, "--ray", "auto", "--device", "cuda:1")
    refused("--symmetrise", "--train", "--one-direction", "a", "b", "--symmetrise", "union")


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "pairs"
    folder.mkdir()
    (folder / "one.fa").write_text(TEXT)
    (folder / "two.tsv").write_text("ein\ta\nein a\n")
    (folder / "three.tsv.gz").write_bytes(gzip.compress(b"ein\ta\n"))
    return folder


def test_shards(tmp_path, shards):
    out = tmp_path / "links"
    result = call(shared_run(), "--shards", shards, "--out", out)
    assert result.exit_code == 2
    assert f"error: {shards / 'two.tsv'}:2: expected source and target" in result.stderr
    assert "1 failed" in result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["one.fa.links", "three.tsv.gz.links"]
    assert (out / "one.fa.links").read_text().split("\n")[:-1] == expected()

    before = (out / "one.fa.links").stat().st_mtime_ns
    (shards / "two.tsv").write_text("ein\ta\n\n")
    result = call(shared_run(), "--shards", shards, "--out", out)
    assert result.exit_code == 0, result.output
    assert not result.stdout
    assert (out / "two.tsv.links").read_text().count("\n") == 2
    assert (out / "one.fa.links").stat().st_mtime_ns == before


def sent(folder, shard, device="auto"):
    """Pickle an aligner as for another process, and align a file with the copy."""
    links = Links("argmax", None, None, None, None, device)
    found = pickle.loads(pickle.dumps(SavedAligner(folder, None, links, writer("pharaoh"))))
    file = io.StringIO()
    found()(shard, file)
    return found, file.getvalue().split("\n")[:-1]


def test_a_saved_aligner_can_be_pickled(tmp_path, shards):
    """Ray pickles it; the run or aligner is loaded in the process that uses it."""
    run, found = sent(shared_run(), shards / "one.fa")
    assert found == expected()
    assert run.on_gpu is None
    assert sent(shared_run(), shards / "one.fa", "cpu")[0].on_gpu is False
    aligner = tmp_path / "aligner"
    assert call("--train", shards / "one.fa", "--save", aligner).exit_code == 0
    words, found = sent(aligner, shards / "one.fa")
    assert found == lines(aligner, shards / "one.fa", text=None)
    assert words.on_gpu is False


SIZES = [
    f"--set={setting}"
    for setting in settings(network__dropout=0.0, training__max_steps=None)
    if "max_steps" not in setting and "epochs" not in setting
]


def test_links_of_a_perfectly_consistent_text(tmp_path):
    """Words that always translate each other are aligned in both directions."""
    pairs = [("", ""), *sentence_pairs(60, 3), ("ein", "")]
    files = write_text(tmp_path, "in", pairs)
    save = tmp_path / "runs"
    arguments = ["--train", "--neural", *files, "--epochs", 2, "--seed", 3, "--save", save, *SIZES]
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    found = result.stdout.split("\n")[:-1]
    assert len(found) == 62
    assert found[0] == found[-1] == ""
    assert all(found[1:-1])
    for name, sides in (("forward", "src tgt"), ("reverse", "tgt src")):
        run = pyro_align.load(save / name)
        assert run.config.training.epochs == 2
        assert run.config.seed == 3
        assert [path.name for path in run.config.data.train] == [
            f"train.{side}" for side in sides.split()
        ]
    # The saved runs align the same text in the same way.
    again = lines(save / "forward", "--reverse", save / "reverse", *files, text=None)
    assert again == found
    refused("exists: choose another --save", *arguments, text=None)


def test_the_default_of_word_aligners_is_grow_mean(tmp_path):
    pairs = sentence_pairs(40, 3)
    # Translations of other sentences: the directions disagree.
    wrong = [(source, target) for (source, _), (_, target) in pairwise(pairs)]
    files = write_text(tmp_path, "in", wrong)
    save = tmp_path / "aligner"
    trained = lines("--train", *files, "--save", save, text=None)
    options = ("--symmetrise", "grow-mean", "--decode", "threshold", "--threshold", 0.5)
    assert trained == lines("--train", *files, *options, text=None)
    assert trained != lines("--train", *files, "--symmetrise", "grow-diag-final-and", text=None)
    assert lines(save, *files, text=None) == lines(save, *files, *options, text=None)
    other = lines(save, *files, "--symmetrise", "grow-diag-final-and", text=None)
    assert lines(save, *files, text=None) != other


def test_train_one_direction(tmp_path):
    files = write_text(tmp_path, "in", sentence_pairs(40, 3))
    result = call("--train", "--neural", *files, "--one-direction", "--epochs", 1, *SIZES)
    assert result.exit_code == 0, result.output
    assert "reverse" not in result.stderr
    # Every target word has at most one source word.
    for line in result.stdout.splitlines():
        targets = [link.split("-")[1] for link in line.split()]
        assert len(targets) == len(set(targets))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.de", "in.en"]


def test_invalid_training_input_is_rejected(tmp_path):
    files = write_text(tmp_path, "in", [("", "a"), ("ein", " ")])
    refused("no sentence pair has words on both sides", "--train", *files)
    save = tmp_path / "runs"
    refused("no sentence pair has words on both sides", "--train", *files, "--save", save)
    refused("training.epochs", "--train", "--neural", *files, "--epochs", 0)
    assert not save.exists()
    refused(
        "unknown key 'training.epoch'", "--train", "--neural", *files, "--set", "training.epoch=3"
    )


def test_an_interrupted_training(tmp_path, monkeypatch):
    """The message says how to resume only if the run was saved."""

    def interrupt(*arguments):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TrainingModule, "training_step", interrupt)
    files = write_text(tmp_path, "in", sentence_pairs(40, 3))
    save = tmp_path / "runs"
    # A background process inherits that Ctrl-C is ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        kept = call("--train", "--neural", *files, "--save", save, *SIZES)
        lost = call("--train", "--neural", *files, *SIZES)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert kept.exit_code == lost.exit_code == 130
    assert f"error: interrupted; continue with `pyro-align fit --resume {save / 'forward'}`" in (
        kept.stderr
    )
    assert lost.stderr.endswith("error: interrupted; nothing is saved without --save\n")


def test_trained_links_are_correct(tmp_path):
    """A language pair with word-by-word translation and one piece per word."""
    pairs = sentence_pairs(120, 4)
    files = write_text(tmp_path, "in", pairs)
    sizes = settings(
        vocabulary__size=60,
        network__cell="gru",
        network__dropout=0.0,
        network__embedding=16,
        training__epochs=8,
        training__batch_tokens=60,
        training__learning_rate=0.03,
    )
    result = call("--train", "--neural", *files, *(f"--set={setting}" for setting in sizes))
    assert result.exit_code == 0, result.output
    right = wrong = 0
    for line, (source, target) in zip(result.stdout.splitlines(), pairs, strict=True):
        source_words, target_words = source.split(), target.split()
        for i, j in (map(int, link.split("-")) for link in line.split()):
            hit = LEXICON[source_words[i]] == target_words[j]
            right, wrong = right + hit, wrong + (not hit)
    # The ratio is 3 to 30, depending on the seed; random links are right once in four times.
    assert right > wrong


# The word aligner, the default of --train.
WORDS = [("", ""), *sentence_pairs(60, 4), ("ein", "")]


def share_of_right_links(found):
    """Return precision and recall of links."""
    hits = given = there = 0
    for line, (source, target) in zip(found, WORDS, strict=True):
        source_words, target_words = source.split(), target.split()
        links = {tuple(map(int, link.split("-"))) for link in line.split()}
        hits += sum(LEXICON[source_words[i]] == target_words[j] for i, j in links)
        given, there = given + len(links), there + len(source_words) * bool(target_words)
    return hits / given, hits / there


@pytest.mark.parametrize("options", [[], ["--fast"], ["--one-direction"]])
def test_word_aligner(tmp_path, options):
    """A language pair with word-by-word translation."""
    files = write_text(tmp_path, "in", WORDS)
    save = tmp_path / "aligner"
    result = call("--train", *files, "--save", save, *options)
    assert result.exit_code == 0, result.output
    found = result.stdout.split("\n")[:-1]
    assert len(found) == 62
    assert found[0] == found[-1] == ""
    precision, recall = share_of_right_links(found)
    assert precision > 0.9
    assert recall > 0.9
    assert "pass 1 of " in result.stderr
    refused("exists: choose another --save", "--train", *files, "--save", save, text=None)
    # The saved aligner may differ: while training, no word is evidence for its own link.
    again = lines(save, *files, text=None)
    assert min(share_of_right_links(again)) > 0.9
    if "--one-direction" in options:
        refused("needs two directions", save, *files, "--symmetrise", "union", text=None)
    else:
        assert lines(save, "--symmetrise", "intersect", text=TEXT)


def test_word_aligner_reads_pipes_and_standard_input(tmp_path):
    """Pipes can be read only once; their content may be compressed."""
    files = write_text(tmp_path, "in", WORDS)
    expected = call("--train", "--fast", *files)
    assert expected.exit_code == 0, expected.output
    pipes = []
    for path in files:
        reader, writer = os.pipe()
        os.write(writer, gzip.compress(path.read_bytes()))
        os.close(writer)
        pipes.append(f"/dev/fd/{reader}")
    text = "".join(f"{source} ||| {target}\n" for source, target in WORDS)
    for found in (call("--train", "--fast", *pipes), call("--train", "--fast", "-", text=text)):
        assert (found.exit_code, found.stdout) == (0, expected.stdout)


def test_word_aligner_rejects_a_long_line_by_default(tmp_path):
    source, target = tmp_path / "in.de", tmp_path / "in.en"
    source.write_text("ein\n\nein\n")
    target.write_text("a\n" + "a " * 1001 + "\n" + "a " * 1001 + "\n")
    message = f"{target}:3: the target sentence has 1001 words, but at most 1000 can be aligned"
    refused(message, "--train", source, target, text=None)


def test_word_aligner_is_deterministic(tmp_path):
    files = write_text(tmp_path, "in", WORDS)
    runs = [call("--train", *files, "--format", "jsonl", "--probabilities") for _ in range(2)]
    assert runs[0].exit_code == 0, runs[0].output
    assert runs[0].stdout == runs[1].stdout


def test_word_aligner_rejects_bad_input(tmp_path):
    files = write_text(tmp_path, "in", WORDS)
    save = tmp_path / "aligner"
    assert call("--train", *files, "--save", save).exit_code == 0
    refused("remove --reverse", save, *files, "--reverse", shared_run(), text=None)
    refused("has no guide", save, *files, "--from", "guide", text=None)
    first = next(n for n, (source, _) in enumerate(WORDS, start=1) if len(source.split()) > 3)
    message = f"in.de:{first}: the source sentence has "
    for aligner in ("--train", save):
        refused(message, aligner, *files, "--max-length", 3, text=None)
        refused("words, but at most 3", aligner, *files, "--max-length", 3, text=None)
    (save / "aligner.safetensors").write_bytes(b"nothing")
    refused("not a saved aligner, or is damaged", save, *files, text=None)
    (tmp_path / "bad.tsv").write_text("ein\ta\nein a\n")
    out = tmp_path / "links"
    refused("bad.tsv:2: expected", "--train", tmp_path / "bad.tsv", "--out", out, text=None)
    assert not out.exists()


@pytest.mark.parametrize("form", FORMATS)
def test_gold_in_every_format(tmp_path, form):
    """Written links can be read as gold links, and agree with the run exactly."""
    source, target = shared_corpus()["valid"]
    gold = tmp_path / "gold"
    assert call(unsure_run(), source, target, "--format", form, "--out", gold).exit_code == 0
    arguments = ["--test", source, target, "--gold", gold, "--gold-format", form, "--json"]
    result = CliRunner().invoke(
        main, ["evaluate", str(unsure_run()), "--no-translate", *map(str, arguments)]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["alignment"]
    assert found["posterior"]["aer"] == 0
    assert found["posterior"]["aer_interval"] == [0, 0]
    low, high = found["prior"]["aer_interval"]
    assert low < found["prior"]["aer"] < high
    assert any(format_links(links) for links in LinkFile(gold, form, 6))
