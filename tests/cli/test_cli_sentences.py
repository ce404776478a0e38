"""Commands of runs of sentences without a source."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from runs import shared_run
from tasks_of_sentences import LINES, language_model_run, vae_run, write

from pyro_align.cli import main


def call(*arguments, **options):
    return CliRunner().invoke(main, [str(each) for each in arguments], **options)


def succeeded(*arguments, **options):
    result = call(*arguments, **options)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_sample(tmp_path):
    lines = succeeded("sample", vae_run(), "--n", 4, "--seed", 2)
    assert len(lines.splitlines()) == 4
    succeeded("sample", vae_run(), "--n", 4, "--seed", 2, "--out", tmp_path / "s.txt")
    assert (tmp_path / "s.txt").read_text() == lines
    greedy = succeeded("sample", vae_run(), "--n", 3, "--temperature", 0)
    assert len(greedy.splitlines()) == 3


def test_interpolate():
    found = succeeded("interpolate", vae_run(), LINES[0], LINES[5], "--steps", 3)
    assert len(found.splitlines()) == 3


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encode(tmp_path, end):
    given = "".join(f"{line}{end}" for line in LINES[:3])
    header, *rows = succeeded("encode", vae_run(), input=given).splitlines()
    assert header.split("\t") == [
        f"{kind}_{number}" for kind in ("mean", "variance") for number in range(3)
    ]
    table = np.array([row.split("\t") for row in rows], float)
    succeeded(
        "encode", vae_run(), write(tmp_path / "t.txt", LINES[:3]), "--out", tmp_path / "e.npz"
    )
    with np.load(tmp_path / "e.npz") as archive:
        assert table == pytest.approx(
            np.concatenate([archive["means"], archive["variances"]], 1), rel=1e-4
        )


def test_evaluate(tmp_path):
    path = write(tmp_path / "t.txt", LINES[:5])
    found = json.loads(
        succeeded("evaluate", vae_run(), "--test", path, "--draws", 10, "--json", "-q")
    )
    assert found["sentences"] == 5
    assert found["per_sentence"]["draws"] == 10
    assert {"mutual_information", "active_units", "exact_match"} <= found.keys()
    without = json.loads(succeeded("evaluate", vae_run(), "--draws", 2, "--no-predict", "--json"))
    assert "exact_match" not in without


def test_compare_shows_what_is_measured_of_sentences(tmp_path):
    folders, facts = [], []
    for run in (vae_run(), language_model_run()):
        folder = shutil.copytree(run, tmp_path / run.name)
        folders.append(folder)
        found = succeeded("evaluate", folder, "--no-predict", "--json", "-q")
        (folder / "results.json").write_text(found)
        facts.append(json.loads(found))
    rows = list(csv.DictReader(succeeded("compare", *folders, "--format", "csv").splitlines()))
    for row, fact in zip(rows, facts, strict=True):
        assert float(row["sentence_nll"]) == fact["per_sentence"]["nll"]
    assert float(rows[0]["sentence_kl"]) == fact_kl(facts[0])
    for name in ("mutual_information", "active_units"):
        assert float(rows[0][name]) == facts[0][name]
        assert not rows[1][name]
    assert not rows[1]["sentence_kl"]


def fact_kl(facts):
    (value,) = facts["per_sentence"]["divergences"].values()
    return value


def test_fit_ends_with_a_table_and_samples(tmp_path):
    text = write(tmp_path / "t.txt")
    small = [
        f"--set={key}" for key in ("network.hidden=4", "network.embedding=4", "network.latent=2")
    ]
    found = succeeded(
        "fit", "--task", "sentences", "--train", text, "--valid", text, *small, "--epochs", 1,
        "--device", "cpu", "--out", tmp_path / "run",
    )  # fmt: skip
    assert "negative log likelihood" in found
    table, _, rest = found.partition("fitted in")
    assert len(table.rstrip().splitlines()[-5:]) == 5
    assert f"pyro-align sample {tmp_path / 'run'}" in rest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("encode", "RUN"), "<stdin>:1: the sentence is empty"),
        (("interpolate", "RUN", "a cat", " "), "the last sentence is empty"),
        (("sample", "TRANSLATION"), "this command needs sentences without a source"),
        (("predict", "RUN"), "this command needs pairs of sequences"),
        (("evaluate", "RUN", "--test", "a", "b"), "sentences without a source are in one file"),
        (("evaluate", "RUN", "--gold", "a"), "--gold"),
        (("evaluate", "LM", "--draws", "2"), "--draws has no effect on the model 'language-model'"),
    ],
)
def test_errors(arguments, message):
    places = {"RUN": vae_run(), "LM": language_model_run(), "TRANSLATION": shared_run()}
    result = call(*(places.get(each, each) for each in arguments), input=io.BytesIO(b"\n"))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
