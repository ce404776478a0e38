"""Runs with the emission of candidates: their file, and what is derived from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from runs import LEXICON, fitted, shared_corpus, silent, tiny_config

from pyro_align.errors import RunError
from pyro_align.runs import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = tiny_config(
        shared_corpus(),
        network__emission="sparse-product",
        network__candidates=3,
        training__epochs=2,
    )
    return fitted(config, tmp_path_factory.mktemp("candidates") / "run")


def test_candidates_are_kept_with_the_run(run):
    loaded = Run.load(run.path)
    table = loaded.model.networks.emission.candidates
    assert table.shape == (len(run.source_vocabulary), 3)
    assert torch.equal(table, torch.from_numpy(np.load(run.path / "candidates.npy")).long())
    source = list(LEXICON)[:4]
    assert list(loaded.predict(source)) == list(run.predict(source))


def test_a_run_that_starts_from_it_has_the_same(run, tmp_path):
    start = Run.load(run.path)
    config = start.derived({"training.epochs": 1})
    again = Run.create(config, tmp_path / "again", start=start, echo=silent)
    table = again.model.networks.emission.candidates
    assert torch.equal(table, run.model.networks.emission.candidates)


def test_a_damaged_file_is_named(run, tmp_path):
    path = run.path / "candidates.npy"
    before = path.read_bytes()
    try:
        np.save(path, np.load(path)[:, ::-1])
        with pytest.raises(RunError, match=r"candidates\.npy: damaged"):
            Run.load(run.path)
        path.unlink()
        with pytest.raises(RunError, match=r"candidates\.npy: missing; copy the run again"):
            Run.load(run.path)
    finally:
        path.write_bytes(before)
