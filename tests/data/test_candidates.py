"""Translation candidates: IBM model 1, against expectation maximisation with dictionaries."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
import torch

from pyro_align.data import (
    IndexedCorpus,
    candidates,
    load_candidates,
    save_candidates,
    translation_candidates,
)
from pyro_align.errors import RunError

SOURCE, TARGET = 9, 11


def pairs(count=60, seed=0):
    """Sentence pairs in random order; each source id has a translation and sometimes another."""
    generator = np.random.default_rng(seed)
    sources = [
        generator.integers(1, SOURCE, generator.integers(1, 6)).tolist() for _ in range(count)
    ]
    targets = [
        generator.permutation([s + 1 + (generator.random() < 0.3) for s in source]).tolist()
        for source in sources
    ]
    return sources, targets


def by_hand(sources, targets, passes):
    """Probabilities ``p(target | source)`` of model 1, started uniformly."""
    probs = defaultdict(lambda: 1.0)
    for _ in range(passes):
        counts, totals = defaultdict(float), defaultdict(float)
        for source, target in zip(sources, targets, strict=True):
            for y in target:
                total = sum(probs[x, y] for x in source)
                for x in source:
                    counts[x, y] += probs[x, y] / total
                    totals[x] += probs[x, y] / total
        probs = defaultdict(float, {(x, y): n / totals[x] for (x, y), n in counts.items()})
    return probs


@pytest.mark.parametrize("number", [1, 3, 20])
@pytest.mark.parametrize(("batch", "least"), [(1, 2), (7, 4), (256, 1), (256, 2)])
def test_the_most_probable_translations_seen_more_than_once(number, batch, least, monkeypatch):
    monkeypatch.setattr(candidates, "BATCH", batch)
    monkeypatch.setattr(candidates, "SEEN", least)
    sources, targets = pairs()
    together = Counter(
        pair
        for source, target in zip(sources, targets, strict=True)
        for pair in set(product(source, target))
    )
    found = translation_candidates(
        IndexedCorpus.from_ids(sources, targets), SOURCE + 2, TARGET, number
    )
    assert found.shape == (SOURCE + 2, number)
    probs = by_hand(sources, targets, candidates.PASSES)
    assert any(n < least for n in together.values()) == (least > 1)
    for x, row in enumerate(found.tolist()):
        seen = sorted((-p, y) for (s, y), p in probs.items() if s == x and together[s, y] >= least)
        best = [y for _, y in seen[:number]]
        assert row[len(best) :] == [-1] * (number - len(best))
        of = [probs[x, y] for y in row[: len(best)]]
        assert of == pytest.approx([-p for p, _ in seen[:number]], rel=1e-3)
    assert (found[1:SOURCE, 0] == torch.arange(2, SOURCE + 1)).all()


def test_of_a_large_text_some_pairs_are_read(monkeypatch):
    sources, targets = pairs()
    monkeypatch.setattr(candidates, "MOST_TOKENS", sum(map(len, targets)) // 2)
    read = IndexedCorpus.batch
    seen = []
    monkeypatch.setattr(
        IndexedCorpus, "batch", lambda self, rows: [seen.extend(rows), read(self, rows)][1]
    )
    translation_candidates(IndexedCorpus.from_ids(sources, targets), SOURCE, TARGET, 2)
    assert 0 < len(seen) <= 30
    assert max(seen) > 50


def test_files(tmp_path):
    path = tmp_path / "candidates.npy"
    with pytest.raises(RunError, match=r"candidates\.npy: missing; copy the run again"):
        load_candidates(path)
    table = torch.tensor([[-1, -1], [7, 2]])
    save_candidates(path, table)
    assert torch.equal(load_candidates(path), table)
    for size in (0, 20, path.stat().st_size - 1):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(RunError, match=r"candidates\.npy: damaged .*; copy the run again"):
            load_candidates(path)
        save_candidates(path, table)
