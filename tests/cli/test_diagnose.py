"""``pyro-align diagnose``: output, files and errors."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from runs import copied, shared_corpus, shared_run, silent, tiny_config, write_text

import pyro_align
from pyro_align.cli import main
from pyro_align.cli.diagnose import _gradients_table, _with_error
from pyro_align.cli.tables import show
from pyro_align.data import ParallelText
from pyro_align.evaluation.diagnosis.result import Diagnosis, ObjectiveDiagnosis
from pyro_align.evaluation.result import PositionMeans
from pyro_align.inference.diagnostics import GradientStatistics
from pyro_align.runs import Run

QUICK = ("--repeats", 8, "--sentences", 1)


def call(*arguments):
    return CliRunner().invoke(main, ["diagnose", *map(str, arguments)])


def test_table():
    result = call(shared_run(), *QUICK)
    assert result.exit_code == 0, result.output
    assert not result.stderr
    lines = result.stdout.splitlines()
    for measure in (
        "log evidence",
        "ELBO",
        "KL(guide ‖ prior)",
        "KL(guide ‖ exact posterior)",
        "effective sample size",
    ):
        assert sum(line.startswith(f"  {measure}  ") for line in lines) == 1, measure
    for objective in (
        "score-function, none",
        "score-function, soft-attention",
        "score-function, leave-one-out, K=4",
        "rws, K=5",
        "vimco, K=5",
    ):
        # One row in the table of noise and bias, one in the table of cost.
        assert sum(line.startswith(f" {objective} ") for line in lines) == 2, objective
    noise, cost = [line.split() for line in lines if line.split()[:1] == ["enumerated"]]
    assert noise == ["enumerated", "0", "0", "0", "0"]
    assert cost[1] == "ELBO"
    assert max(map(len, lines)) <= 80
    assert "on 1 sentence pair" in result.stdout
    assert "enumerated ELBO" in result.stdout


def test_json_and_plot(tmp_path):
    figure = tmp_path / "figure.png"
    only = ("--only", "enumerated", "--only", "score-function, none", "--only", "vimco")
    result = call(shared_run(), *QUICK, *only, "--sentences", 100, "--json", "--plot", figure)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    # 100 sentences are the whole text, so the numbers equal those of an evaluation.
    expected = pyro_align.load(shared_run()).evaluate(
        ParallelText.open(shared_corpus()["valid"]), translate=False
    )
    means = {name: value for name, value in vars(expected.positions).items() if value is not None}
    assert {name: found[name] for name in means} == pytest.approx(means, rel=1e-4)
    assert found["sentences"] == 6
    assert list(found["objectives"]) == ["enumerated", "score-function, none", "vimco, K=5"]
    assert 0 < found["effective_sample_size"] < 1
    noisy = found["objectives"]["score-function, none"]
    assert noisy["target"] == "ELBO"
    assert noisy["guide_noise_to_signal"] > 0
    assert noisy["guide_biased"] is False
    assert found["objectives"]["enumerated"]["model_noise_to_signal"] == 0
    assert "guide_bias" not in found["objectives"]["vimco, K=5"]
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_other_text_and_seed(tmp_path):
    pairs = [("ein hund", "a dog"), ("kein vogel ruft", "no bird calls")]
    text = write_text(tmp_path, "other", pairs)

    def evidence(*arguments):
        result = call(shared_run(), *QUICK, "--only", "enumerated", *arguments, "--json")
        return json.loads(result.stdout)["log_evidence"]

    assert evidence("--test", *text) != evidence()
    assert len({evidence("--seed", seed) for seed in range(3)}) > 1
    assert evidence("--seed", 1) == evidence("--seed", 1)


@pytest.mark.parametrize(
    ("model", "row", "absent"),
    [("soft", "likelihood", "guide:"), ("dirichlet", "relaxed", "bias: distance")],
)
def test_models_without_enumeration(tmp_path, model, row, absent):
    config = tiny_config(shared_corpus(), network__cell="gru", model__name=model)
    run = Run.create(config, tmp_path / "run", echo=silent).path
    Run.resume(run).fit(echo=silent)
    result = call(run, *QUICK, "--plot", tmp_path / "figure.svg")
    assert result.exit_code == 0, result.output
    assert f"\n {row} " in result.stdout
    assert absent not in result.stdout
    svg = (tmp_path / "figure.svg").read_text()
    assert svg.count("<svg") == 1
    assert svg.rstrip().endswith("</svg>")


def refused(match, *arguments):
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert not result.stdout
    assert match in result.stderr


def test_bad_input(tmp_path):
    run = shared_run()
    source, target = shared_corpus()["valid"]
    refused("a.bmp: the name of a figure must end in .png, .svg, .pdf", run, "--plot", "a.bmp")
    refused("does not exist: create it first", run, "--plot", tmp_path / "no" / "a.pdf")
    refused("nothing: not a run folder", "nothing")
    refused("missing.de: no such file", run, "--test", "missing.de", target)
    refused("the second file", run, "--test", source)
    refused("--only rwz: not compatible with this run; did you mean 'rws'?", run, "--only", "rwz")
    refused("7 is not in the range 8<=x<=100000", run, "--repeats", 7)
    refused("0 is not in the range x>=1", run, "--sentences", 0)
    refused("--device nonsense: not available", run, "--device", "nonsense")
    broken = copied(tmp_path)
    (broken / "weights.safetensors").write_bytes(b"")
    refused("weights.safetensors: damaged", broken)


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (11.2, 1.3, "11 ± 1"),
        (9.5, 14.8, "10 ± 15"),
        (0.0971, 0.0104, "0.10 ± 0.01"),
        (0.25, 0.0, "0.25"),
        (1e-7, 1e-8, "0"),
        (None, None, "–"),
    ],
)
def test_digits_follow_the_standard_error(value, error, shown):
    assert _with_error(value, error) == shown


def test_wide_numbers_and_names_are_not_cut_off(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    part = GradientStatistics(
        signal=1.0,
        signal_error=0.0,
        noise=0.512,
        noise_error=0.031,
        bias=0.872,
        bias_error=0.011,
        detectable=0.1,
        biased=True,
    )
    names = [f"score-function, leave-one-out, K={samples}" for samples in (2, 3, 4)]
    rows = {name: ObjectiveDiagnosis("ELBO", True, part, part, 0.1, 1) for name in names}
    show(_gradients_table(Diagnosis(1, 8, PositionMeans(), None, rows, {}, "kept")))
    text = capsys.readouterr().out
    assert text.count("0.51 ± 0.03") == text.count("0.87 ± 0.01") == 2 * len(names)
    assert text.count("noise/signal") == 2
    for samples in (2, 3, 4):
        assert text.count(f"K={samples}") == 1
