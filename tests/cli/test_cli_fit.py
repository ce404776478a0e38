"""``pyro-align fit``: output and errors."""

import json
import shlex
import shutil
import signal
from pathlib import Path

import kill
import pytest
from click.testing import CliRunner
from runs import (
    checkpoint,
    copied,
    settings,
    shared_corpus,
    shared_run,
    short_demo,
    toml,
    write_corpus,
)

import pyro_align
from pyro_align.cli import main
from pyro_align.data import demo
from pyro_align.errors import OutputError
from pyro_align.files import atomic_write
from pyro_align.inference import EnumeratedELBO
from pyro_align.runs import Run


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Create runs in a temporary folder, and reset environment variables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYRO_ALIGN_RUN", "nowhere")


def text_flags(corpus):
    return [str(word) for name, paths in corpus.items() for word in (f"--{name}", *paths)]


def fit_flags(**changes):
    values = {"network__cell": "gru", "training__max_steps": 2, **changes}
    return [word for setting in settings(**values) for word in ("--set", setting)]


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def fit(*arguments, corpus=None, **changes):
    flags = text_flags(shared_corpus() if corpus is None else corpus)
    return call("fit", *flags, *fit_flags(**changes), *arguments)


def assert_refused(result, *words):
    """Assert a one-line error with all these words, without traceback, exit code 2."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.output


def test_output_and_files_of_a_fit(tmp_path):
    result = fit("--out", "a", "--seed", 3, training__epochs=2, training__max_steps=100)
    assert result.exit_code == 0, result.output
    table = result.stdout
    for measure in ("exact perplexity", "ELBO", "KL(guide ‖ prior)", "BLEU", "tok:13a", "chrF"):
        assert measure in table
    assert "pyro-align predict a " in table
    assert "the run is in a" in table
    assert result.stderr.count("valid perplexity") == 2
    assert "vocabulary: 30 source and 30 target pieces" in result.stderr
    found = json.loads((tmp_path / "a" / "results.json").read_text())
    assert f"{found['perplexity']:.3f}" in table
    assert f"{found['bleu']:.2f}" in table
    assert found["fit_seconds"] > 0
    assert Run.load("a").config.seed == 3


def test_names_that_need_shell_quoting(tmp_path):
    """Such names can be read, and are quoted in printed commands."""
    folder = tmp_path / "~x" / "ä 'b' 🙂"
    folder.mkdir(parents=True)
    corpus = {
        part: [path.relative_to(tmp_path) for path in paths]
        for part, paths in write_corpus(folder).items()
    }
    name = f"{folder.relative_to(tmp_path)}/run $HOME"
    result = fit("--out", name, corpus=corpus)
    assert result.exit_code == 0, result.output
    commands = [
        shlex.split(line) for line in result.stdout.splitlines() if line.startswith("  pyro-align")
    ]
    assert [words[1] for words in commands] == ["predict", "inspect", "diagnose", "list"]
    for words in commands[:3]:
        assert words[2] == name
    paths = [*commands[0][2:], *commands[1][2:-2]]
    assert all(Path(path).exists() for path in paths if path != "--gold"), paths
    assert commands[1][-1] == f"{name}.html"


def test_folders_get_distinct_names(tmp_path):
    for _ in range(2):
        assert fit().exit_code == 0
    assert fit("--model", "soft").exit_code == 0
    names = ["train-categorical", "train-categorical-2", "train-soft"]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == names


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), ("categorical", "amortized", "enumerated")),
        (("--model", "soft"), ("soft", "none", "likelihood")),
        (("--objective", "exact"), ("categorical", "amortized", "exact")),
        (("--objective", "gumbel-softmax"), ("categorical", "gumbel", "gumbel-softmax")),
        (("--guide", "none"), ("categorical", "none", "exact")),
        (("--guide", "prior"), ("categorical", "prior", "enumerated")),
        (("--objective", "score-function"), ("categorical", "amortized", "score-function")),
        (("--set", "model.name=soft"), ("soft", "none", "likelihood")),
    ],
)
def test_flags_override_the_file(tmp_path, monkeypatch, flags, expected):
    file = tmp_path / "recipe.toml"
    paths = "".join(f"{name} = {toml(paths)}\n" for name, paths in shared_corpus().items())
    file.write_text(
        f"[data]\n{paths}[guide]\nname = 'amortized'\nhidden = 7\n"
        "[objective]\nname = 'enumerated'\n[vocabulary]\nsize = 30\n"
    )
    monkeypatch.setattr(Run, "fit", lambda self, **_: None)
    monkeypatch.setattr("pyro_align.cli.fit._report", lambda run: None)
    result = call("fit", "--config", file, "--out", "a", *flags)
    assert result.exit_code == 0, result.output
    config = Run.resume("a").config
    assert (config.model.name, config.guide.name, config.objective.name) == expected
    assert config.guide.options == ({"hidden": 7} if expected[1] == "amortized" else {})


def test_resumed(tmp_path):
    whole = copied(tmp_path)
    run = shutil.copytree(whole, tmp_path / "killed")
    (run / "weights.safetensors").unlink()
    (run / "checkpoints" / "last.ckpt").unlink()
    result = call("fit", "--resume", run)
    assert result.exit_code == 0, result.output
    assert "exact perplexity" in result.stdout
    weights = "weights.safetensors"
    assert (run / weights).read_bytes() == (whole / weights).read_bytes()


def test_resume_accepts_no_other_option():
    for more in (["--epochs", 3], ["--overwrite"], ["--out", "b"], ["--set", "seed=2"]):
        result = call("fit", "--resume", shared_run(), *more)
        assert_refused(result, "--resume continues a run with its own settings")


def test_out_that_exists(tmp_path):
    run = copied(tmp_path)
    before = (run / "weights.safetensors").read_bytes()
    assert_refused(fit("--out", run), f"error: {run} exists", "--overwrite", "--resume")
    assert (run / "weights.safetensors").read_bytes() == before
    assert fit("--out", run, "--overwrite").exit_code == 0
    assert (run / "weights.safetensors").read_bytes() != before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train.de", None, ["train.de: no such file"]),
        ("train.de", b"", ["train.de", "ends after 0 lines", "20"]),
        ("valid.en", b"a dog\n", ["valid.en:1: ends after 1 lines", "valid.de has 6"]),
        ("train.en", b"a dog\n" * 19 + b"\n", ["train.en:20: the target sentence is empty"]),
        ("train.de", b"ein h\xfcnd\n" * 20, ["train.de:1: not UTF-8", "0xfc", "iconv"]),
        ("train.de", b"ein " * 10_000 + b"\n", ["train.de:1: ", "ends after 1"]),
        (
            "valid.de",
            b"ein\n" * 3 + b"ein " * 10_000 + b"\n" + b"ein\n" * 2,
            ["valid.de:4: the source sentence has", "tokens, more than max_length = 256"],
        ),
    ],
)
def test_bad_text(tmp_path, name, content, words):
    corpus = write_corpus(tmp_path / "text", train=20, valid=6)
    path = tmp_path / "text" / name
    path.unlink() if content is None else path.write_bytes(content)
    assert_refused(fit("--out", "a", corpus=corpus), *words)
    assert not (tmp_path / "a").exists()
    assert not list(tmp_path.glob(".*"))


def test_an_empty_corpus(tmp_path):
    corpus = write_corpus(tmp_path / "text", train=20, valid=6)
    for path in corpus["train"]:
        path.write_bytes(b"")
    assert_refused(fit("--out", "a", corpus=corpus), "train.de: the corpus is empty")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--set", "training.epoch=2"], ["unknown key 'training.epoch'", "did you mean 'epochs'"]),
        (["--set", "epochs"], ["expected key=value"]),
        (["--config", "no.toml"], ["no.toml: no such file"]),
        (["--model", "categoricl"], ["no model 'categoricl'", "did you mean 'categorical'"]),
        (["--guide", "mine.py:Mine"], ["mine.py: no such file"]),
        (["--set", "guide.name=amortized", "--set", "guide.hiden=3"], ["did you mean 'hidden'"]),
        (
            ["--model", "soft", "--objective", "exact"],
            ["no compatible choice is known for", "soft"],
        ),
        (["--model", "soft", "--guide", "none", "--objective", "exact"], ["ExactMarginal needs"]),
        (["--set", "vocabulary.size=10"], ["vocabulary of 10 pieces", "set vocabulary.size to"]),
        (["--devices", "99"], ["cannot be split among 99 processes"]),
        (["--seed", "-1"], ["-1 is not in the range 0<=x<=4294967295"]),
        (["--epochs", "x"], ["'x' is not a valid integer"]),
        (["--nothing"], ["No such option"]),
        (["--test", "missing.tsv"], ["missing.tsv: no such file"]),
        (["--gold", "missing.links"], ["missing.links: no such file"]),
    ],
)
def test_bad_flags(tmp_path, flags, words):
    assert_refused(fit("--out", "a", *flags), *words)
    assert not list(tmp_path.iterdir())


def test_resume_of_a_folder_that_is_not_a_run(tmp_path):
    assert_refused(call("fit", "--resume", "nothing"), "error: nothing: not a run folder")
    assert not list(tmp_path.iterdir())


def test_resume_from_a_damaged_checkpoint(tmp_path):
    run = copied(tmp_path)
    path = run / "checkpoints" / "last.ckpt"
    path.write_bytes(path.read_bytes()[:-100])
    assert_refused(call("fit", "--resume", run), "last.ckpt: damaged or truncated", "--resume")


def test_a_full_disk_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    def full(path, mode="b"):
        if path.name == "last.ckpt":
            raise OutputError(f"{path}: cannot be written: No space left on device")
        return atomic_write(path, mode)

    monkeypatch.setattr("pyro_align.training.checkpoint.atomic_write", full)
    assert_refused(fit("--out", "a"), "No space left on device", "fit --resume a")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert call("fit", "--resume", "a").exit_code == 0


def test_a_full_disk_elsewhere(monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "a/metrics.csv")

    monkeypatch.setattr("pyro_align.training.logs.MetricsCSV.log_metrics", full)
    assert_refused(fit("--out", "a"), "a/metrics.csv: No space left on device")


def raised_at(monkeypatch, owner, name, number, *, step=None):
    """Send a signal to this process when a function is called, in an optimiser step or at all."""
    original = getattr(owner, name)

    def called(*arguments, **options):
        if step is None or arguments[0].step == step:
            signal.raise_signal(number)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, called)


@pytest.fixture
def _handler():
    """Python's own for Ctrl-C: who is started in the background inherits that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


SIGNALS = pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)


@SIGNALS
@pytest.mark.usefixtures("_handler")
def test_a_signal_in_training(tmp_path, monkeypatch, number, code, word):
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    raised_at(monkeypatch, EnumeratedELBO, "terms", number, step=1)
    result = fit("--out", "a", "--objective", "enumerated")
    assert result.exit_code == code
    assert result.stderr.endswith(f"error: {word}; continue with `pyro-align fit --resume a`\n")
    assert checkpoint(tmp_path / "a")["global_step"] == 1
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


@SIGNALS
@pytest.mark.usefixtures("_handler")
def test_a_signal_before_there_is_a_run(tmp_path, monkeypatch, number, code, word):
    raised_at(monkeypatch, Run, "_check_data", number)
    before = sorted(tmp_path.iterdir())
    result = fit("--out", "a")
    assert result.exit_code == code
    assert result.stderr.endswith(f"error: {word}; no run was created\n")
    assert sorted(tmp_path.iterdir()) == before


def killed(arguments, moment):
    """A command that is killed at a given moment."""
    moment()
    main(arguments, standalone_mode=False)


def die_in_the_second_step():
    kill.on_call(kill.module.TrainingModule, "on_before_optimizer_step", 2)


def test_killed_and_resumed(tmp_path):
    flags = [*text_flags(shared_corpus()), *fit_flags(training__max_steps=4)]
    arguments = ["fit", *flags, "--out", str(tmp_path / "killed")]
    assert kill.run(killed, arguments, die_in_the_second_step) == -signal.SIGKILL
    assert call("fit", "--resume", tmp_path / "killed").exit_code == 0
    assert call("fit", *flags, "--out", tmp_path / "whole").exit_code == 0
    weights = "weights.safetensors"
    whole = (tmp_path / "whole" / weights).read_bytes()
    assert (tmp_path / "killed" / weights).read_bytes() == whole


def test_the_built_in_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "FILES", short_demo(tmp_path))
    result = call("fit", *fit_flags(vocabulary__size=60))
    assert result.exit_code == 0, result.output
    assert "AER of the posterior" in result.stdout
    run = pyro_align.load(tmp_path / "runs" / "demo-categorical")
    assert run.config.guide.name == "corrected-prior"
    shutil.copytree(run.path, tmp_path / "copy")
    shutil.rmtree(tmp_path / "runs")
    again = call("evaluate", "copy", "--json")
    assert set(json.loads(again.stdout)["alignment"]) == {"posterior", "guide", "prior"}
