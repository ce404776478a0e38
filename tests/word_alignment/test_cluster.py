"""Alignment of a folder by one command with two Ray workers, one of which is killed."""

import os
import re
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from runs import WORKPLACE, fitted, sentence_pairs, shared_corpus, shared_run, tiny_config

from pyro_align.cli import main
from pyro_align.errors import ConfigError
from pyro_align.word_alignment import align_shards_on_ray
from pyro_align.word_alignment.cluster import _chip

KILLER = """
import os, signal
from pathlib import Path

from pyro_align.models import CategoricalModel

SCENE = os.environ.get("SCENE")


class Killer(CategoricalModel):
    'Notes who makes it and who computes with it, and kills the first that computes.'

    def __init__(self, networks):
        super().__init__(networks)
        note("made")

    def forward(self, batch):
        note("computes")
        if SCENE:
            try:
                (Path(SCENE) / "killed").touch(exist_ok=False)
            except FileExistsError:
                return super().forward(batch)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(batch)


def note(what):
    if SCENE:
        with (Path(SCENE) / "notes").open("a") as file:
            print(os.getpid(), what, file=file)
"""

GOOD = 4


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """Return the arguments without the output: two directions, and one unreadable file."""
    folder = tmp_path_factory.mktemp("shards")
    code = WORKPLACE / "killer.py"
    code.write_text(KILLER)
    config = tiny_config(
        shared_corpus(),
        network__cell="gru",
        model__name=f"{code}:Killer",
        training__max_steps=2,
    )
    run = fitted(config, folder / "run").path
    pairs = folder / "pairs"
    pairs.mkdir()
    for number in range(GOOD):
        lines = [f"{source} ||| {target}" for source, target in sentence_pairs(3, number)]
        (pairs / f"{number}.fa").write_text("\n".join(lines))
    (pairs / "bad.tsv").write_text("ein\ta\nein a\n")
    return ["align", run, "--reverse", shared_run(), "--shards", pairs, "--probabilities"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, arguments):
    """Align without Ray: the folder of links, and the output."""
    out = tmp_path_factory.mktemp("alone")
    result = CliRunner().invoke(main, [*map(str, arguments), "--out", str(out)])
    assert result.exit_code == 2, result.output
    return out, result.stderr


@pytest.fixture(scope="module")
def together(tmp_path_factory, arguments):
    """Align with two workers, the first of which is killed: links, output, notes."""
    pytest.importorskip("ray.data", reason="there is no Ray: pip install -e '.[ray]'")
    scene, out = tmp_path_factory.mktemp("scene"), tmp_path_factory.mktemp("together")
    options = ["--out", out, "--ray", "local", "--workers", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "pyro_align", *map(str, arguments + options)],
        env={**os.environ, "SCENE": str(scene)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert not done.stdout
    assert (scene / "killed").exists()
    notes = [line.split() for line in (scene / "notes").read_text().splitlines()]
    return out, done.stderr, notes


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_links_are_the_same(alone, together):
    assert len(contents(alone[0])) == GOOD
    assert contents(together[0]) == contents(alone[0])


def test_files_are_aligned_once_except_that_of_a_killed_worker(together):
    _, _, notes = together
    computing = [process for process, what in notes if what == "computes"]
    assert len(computing) == GOOD + 1
    assert computing[0] not in computing[1:]


def test_a_worker_loads_the_run_once(together):
    _, _, notes = together
    made = Counter(process for process, what in notes if what == "made")
    assert set(made.values()) == {1}
    # The command itself, which loads it to see that it can be, and the two, one of them twice.
    assert 3 <= len(made) <= 4


def outcomes(said):
    """Split output into the results by file, the numbers of progress lines, and other lines."""
    progress = re.findall(r"^(\d)/(\d) (\S+): (\w+)$", said, re.MULTILINE)
    others = [line for line in said.splitlines() if not re.match(r"\d/\d ", line)]
    numbers = [(int(number), int(total)) for number, total, _, _ in progress]
    return {name: outcome for _, _, name, outcome in progress}, numbers, others


def test_output_equals_that_of_one_process(alone, together):
    files, numbers, others = outcomes(alone[1])
    assert outcomes(together[1]) == (files, numbers, ["workers on Ray: 2", *others])
    assert files == {"bad.tsv": "failed", **{f"{number}.fa": "done" for number in range(GOOD)}}
    assert numbers == [(number, GOOD + 1) for number in range(1, GOOD + 2)]
    assert len(others) == 2
    assert "bad.tsv:2: expected source and target" in others[0]


def never():
    raise AssertionError("nothing is to be aligned")


def write(folder):
    folder.mkdir()
    (folder / "a").write_text("a ||| a\n")
    return folder


def test_without_ray(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    pairs, out = write(tmp_path / "pairs"), tmp_path / "out"
    with pytest.raises(ConfigError, match=r'pip install "pyro-align\[ray\]"'):
        align_shards_on_ray(never, pairs, out, print)
    # What is done needs none.
    (out / "a.links").write_text("0-0\n")
    told = []
    assert not align_shards_on_ray(never, pairs, out, told.append)
    assert told == ["1/1 a: done before"]


def test_without_ray_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    pairs = write(tmp_path / "pairs")
    arguments = ["align", shared_run(), "--shards", pairs, "--out", tmp_path / "out"]
    result = CliRunner().invoke(main, [*map(str, arguments), "--ray", "auto"])
    assert result.exit_code == 2
    assert 'pip install "pyro-align[ray]"' in result.stderr


def not_to_be_had(**options):
    raise ConnectionError("nobody answers\nand so on")


@pytest.mark.parametrize(
    ("address", "reason"), [("auto", "nobody answers"), ("127.0.0.1:1", "Connection refused")]
)
def test_no_cluster(tmp_path, monkeypatch, address, reason):
    ray = SimpleNamespace(is_initialized=lambda: False, init=not_to_be_had)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.data", SimpleNamespace())
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
    pairs = write(tmp_path / "pairs")
    with pytest.raises(
        ConfigError, match=rf"--ray {address}: cannot connect to a Ray cluster .*{reason}\)"
    ):
        align_shards_on_ray(never, pairs, tmp_path / "out", print, address=address)


def test_workers_use_gpus_if_available():
    assert _chip({"CPU": 8.0}, None) == ({"num_cpus": 1}, 8)
    assert _chip({"CPU": 8.0, "GPU": 2.0}, None) == ({"num_gpus": 1}, 2)
    assert _chip({"CPU": 8.0, "GPU": 2.0}, True) == ({"num_gpus": 1}, 2)
    assert _chip({"CPU": 8.0, "GPU": 2.0}, False) == ({"num_cpus": 1}, 8)
    assert _chip({}, False) == ({"num_cpus": 1}, 1)  # nodes may come later
    with pytest.raises(ConfigError, match="has no GPU"):
        _chip({"CPU": 8.0}, True)
