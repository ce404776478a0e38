import json
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_align.data import index_files
from pyro_align.data.batch import EOS, TextBatch
from pyro_align.data.index import IndexedCorpus
from pyro_align.data.index_files import IndexWriter
from pyro_align.data.text import ParallelText
from pyro_align.data.vocabulary import Vocabulary
from pyro_align.errors import DataError, RunError

SOURCE = ["ein hund", "zwei katzen schlafen im garten", "drei", "ein garten"] * 30
TARGET = ["a dog", "two cats are sleeping soundly in the green garden", "three", "a garden"] * 30


@pytest.fixture(scope="module")
def vocabularies() -> tuple[Vocabulary, Vocabulary]:
    return Vocabulary.train(SOURCE, 30, "bpe"), Vocabulary.train(TARGET, 30, "bpe")


@pytest.fixture
def text(tmp_path: Path) -> ParallelText:
    paths = tmp_path / "a.de", tmp_path / "a.en"
    for path, lines in zip(paths, (SOURCE, TARGET), strict=True):
        path.write_text("".join(f"{line}\n" for line in lines))
    return ParallelText.open(paths)


def same(one: TextBatch, other: TextBatch) -> bool:
    return all(
        torch.equal(value, getattr(other, name))
        for name, value in vars(one).items()
        if isinstance(value, torch.Tensor)
    )


def test_an_index_returns_the_text(tmp_path: Path, text: ParallelText, vocabularies) -> None:
    seen: list[int] = []
    built = IndexedCorpus.build(
        text, *vocabularies, tmp_path / "deep" / "x", max_length=50, progress=seen.append
    )
    assert seen == [120]
    sources, targets = vocabularies[0].encode_all(SOURCE), vocabularies[1].encode_all(TARGET)
    order = [3, 119, 0, 3]
    expected = TextBatch.from_ids([sources[i] for i in order], [targets[i] for i in order], order)
    opened = IndexedCorpus.open(tmp_path / "deep" / "x")
    for corpus in (built, opened):
        assert len(corpus) == 120
        assert corpus.skipped == 0
        assert corpus.source_lengths.tolist() == [len(ids) for ids in sources]
        assert corpus.target_lengths.tolist() == [len(ids) for ids in targets]
        assert corpus.lines.tolist() == list(range(1, 121))
        assert corpus.source_lengths.dtype == np.int32
        assert same(corpus.batch(order), expected)
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "x"]


def test_chunks_are_joined(tmp_path: Path, text: ParallelText, vocabularies, monkeypatch) -> None:
    whole = IndexedCorpus.build(text, *vocabularies, tmp_path / "whole", max_length=50)
    monkeypatch.setattr("pyro_align.data.index._CHUNK", 7)
    seen: list[int] = []
    parts = IndexedCorpus.build(
        text, *vocabularies, tmp_path / "parts", max_length=50, progress=seen.append
    )
    assert seen == [*range(7, 120, 7), 120]
    for name in ("ids.bin", "pairs.bin"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    assert same(whole.batch(range(120)), parts.batch(range(120)))


ids = st.lists(st.integers(4, 100_000), max_size=6).map(lambda pieces: [*pieces, EOS])


@settings(deadline=None, max_examples=30)
@given(
    pairs=st.lists(st.tuples(ids, ids), min_size=1, max_size=8),
    size=st.sampled_from([65_536, 65_537, 200_000]),
    data=st.data(),
)
def test_round_trip_of_ids(tmp_path_factory: pytest.TempPathFactory, pairs, size, data) -> None:
    pairs = [tuple([min(i, size - 1) for i in side] for side in pair) for pair in pairs]
    sources, targets = zip(*pairs, strict=True)
    folder = tmp_path_factory.mktemp("index") / "x"
    flat = np.array([i for pair in pairs for side in pair for i in side])
    table = np.array([(len(s), len(t), 1) for s, t in pairs], dtype=np.int32)
    with IndexWriter(folder, size) as writer:
        writer.add(flat, table)
        writer.finish("print", skipped=0)
    width = 2 if size == 65_536 else 4
    assert (folder / "ids.bin").stat().st_size == width * len(flat)
    rows = data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1))
    expected = TextBatch.from_ids([sources[i] for i in rows], [targets[i] for i in rows], rows)
    assert same(IndexedCorpus.open(folder).batch(rows), expected)
    assert same(IndexedCorpus.from_ids(sources, targets).batch(rows), expected)


def test_long_pairs_are_refused_or_counted(tmp_path, text, vocabularies) -> None:
    sources, targets = vocabularies[0].encode_all(SOURCE), vocabularies[1].encode_all(TARGET)
    limit = len(targets[1]) - 1
    assert len(sources[1]) <= limit
    with pytest.raises(DataError) as caught:
        IndexedCorpus.build(text, *vocabularies, tmp_path / "x", max_length=limit)
    assert (caught.value.path, caught.value.line) == (text.target_path, 2)
    message = str(caught.value)
    assert f"target sentence has {limit + 1} tokens, more than max_length = {limit}" in message
    assert "skip_long" in message
    assert not (tmp_path / "x").exists()
    assert (
        IndexedCorpus.build(text, *vocabularies, tmp_path / "y", max_length=limit + 1).skipped == 0
    )

    corpus = IndexedCorpus.build(
        text, *vocabularies, tmp_path / "x", max_length=limit, skip_long=True
    )
    kept = [i for i in range(120) if max(len(sources[i]), len(targets[i])) <= limit]
    assert (len(corpus), corpus.skipped) == (len(kept), 120 - len(kept)) == (90, 30)
    assert corpus.lines.tolist() == [i + 1 for i in kept]
    assert IndexedCorpus.open(tmp_path / "x").skipped == 30
    last = corpus.batch([89])
    assert last.source.tolist() == [sources[kept[-1]]]

    with pytest.raises(DataError, match="each of the 120 pairs has a side of more than 1 tokens"):
        IndexedCorpus.build(text, *vocabularies, tmp_path / "z", max_length=1, skip_long=True)


def test_a_line_of_ten_thousand_tokens(tmp_path: Path, vocabularies) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("ein\ta\n" + "hund " * 10_000 + "\tdog\n")
    with pytest.raises(DataError, match=r"x\.tsv:2: the source sentence has \d{5} tokens"):
        IndexedCorpus.build(
            ParallelText.open([path]), *vocabularies, tmp_path / "index", max_length=500
        )


def test_ensure_builds_once_for_the_same_content(tmp_path, text, vocabularies) -> None:
    cache = tmp_path / "cache"
    builds: list[int] = []

    def ensure(text: ParallelText, *pair: Vocabulary, **options) -> IndexedCorpus:
        given = {"max_length": 50} | options
        return IndexedCorpus.ensure(text, *pair, cache, progress=builds.append, **given)

    first = ensure(text, *vocabularies)
    second = ensure(text, *vocabularies)
    assert same(first.batch([5, 6]), second.batch([5, 6]))
    assert len(builds) == len(list(cache.iterdir())) == 1
    ensure(text, *vocabularies, max_length=51)
    ensure(text, *vocabularies, skip_long=True)
    ensure(text, *reversed(vocabularies))
    text.source_path.write_text(text.source_path.read_text().replace("drei", "drei drei"))
    ensure(text, *vocabularies)
    assert len(builds) == len(list(cache.iterdir())) == 5


def test_two_builders_at_once_leave_one_index(tmp_path: Path) -> None:
    def written() -> IndexWriter:
        writer = IndexWriter(tmp_path / "x", 10)
        writer.add(np.array([4, 3, 5, 3]), np.array([[2, 2, 1]], dtype=np.int32))
        return writer

    with written() as first, written() as second, written() as other:
        first.finish("same", skipped=0)
        second.finish("same", skipped=0)
        with pytest.raises(OSError, match="not empty"):
            other.finish("other", skipped=0)
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]
    assert len(IndexedCorpus.open(tmp_path / "x")) == 1


def test_build_does_not_overwrite(tmp_path, text, vocabularies) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(RunError, match="exists: delete it"):
        IndexedCorpus.build(text, *vocabularies, tmp_path / "x", max_length=50)
    assert list((tmp_path / "x").iterdir()) == []


@pytest.mark.parametrize("name", ["ids.bin", "pairs.bin", "index.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "empty", "longer"])
def test_a_damaged_index_is_refused(tmp_path, text, vocabularies, name, damage) -> None:
    IndexedCorpus.build(text, *vocabularies, tmp_path / "x", max_length=50)
    path = tmp_path / "x" / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": content[:-9], "empty": b"", "longer": content + b"xx"}[damage])
    with pytest.raises(RunError, match=r"cannot be used: .*Delete the folder"):
        IndexedCorpus.open(tmp_path / "x")


def test_truncation_of_an_open_index_is_detected(tmp_path, text, vocabularies) -> None:
    corpus = IndexedCorpus.build(text, *vocabularies, tmp_path / "x", max_length=50)
    path = tmp_path / "x" / "ids.bin"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    corpus.batch([0])
    with pytest.raises(RunError, match=r"ids\.bin was truncated while in use"):
        corpus.batch([0, 119])


def test_threads_can_read_concurrently(tmp_path, text, vocabularies) -> None:
    corpus = IndexedCorpus.build(text, *vocabularies, tmp_path / "x", max_length=50)
    expected = [corpus.batch([row]) for row in range(120)]
    with ThreadPoolExecutor(4) as pool:
        for row, batch in enumerate(pool.map(lambda row: corpus.batch([row % 120]), range(1200))):
            assert torch.equal(batch.source, expected[row % 120].source)


def spoil_ids(folder: Path) -> None:
    """Flip one bit of an id."""
    content = bytearray((folder / "ids.bin").read_bytes())
    content[7] ^= 4
    (folder / "ids.bin").write_bytes(content)


def move_boundary(folder: Path) -> None:
    """Swap an id of the first source with one of the first target, which keeps the sum."""
    table = np.fromfile(folder / "pairs.bin", dtype="<i4")
    table[:2] += [1, -1]
    table.tofile(folder / "pairs.bin")


def change_header(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "index.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


DAMAGES = {
    "ids": spoil_ids,
    "boundary": move_boundary,
    "byte order": change_header(dtype=">u2"),
    "number of skipped pairs": change_header(skipped=3),
    "digest": change_header(sha256="0" * 64),
    "no digest": change_header(sha256=""),
    "version": change_header(format=1),
    "header": lambda folder: (folder / "index.json").write_text("{"),
    "a file is gone": lambda folder: (folder / "ids.bin").unlink(),
    "all files are gone": lambda folder: [file.unlink() for file in folder.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_rebuilt(tmp_path, text, vocabularies, damage) -> None:
    cache = tmp_path / "cache"
    expected = IndexedCorpus.ensure(text, *vocabularies, cache, max_length=50).batch(range(120))
    (folder,) = cache.iterdir()
    DAMAGES[damage](folder)
    with pytest.raises(RunError, match=r"cannot be used: .*Delete the folder"):
        IndexedCorpus.open(folder)
    read: list[int] = []
    again = IndexedCorpus.ensure(text, *vocabularies, cache, max_length=50, progress=read.append)
    assert read == [120]
    assert same(again.batch(range(120)), expected)
    assert list(cache.iterdir()) == [folder]
    IndexedCorpus.ensure(text, *vocabularies, cache, max_length=50, progress=read.append)
    assert read == [120]


def test_an_index_of_another_text_is_not_used(tmp_path, text, vocabularies) -> None:
    """As if folders of the cache had been renamed."""
    cache = tmp_path / "cache"
    expected = IndexedCorpus.ensure(text, *vocabularies, cache, max_length=50).batch(range(120))
    (folder,) = cache.iterdir()
    IndexedCorpus.build(text, *reversed(vocabularies), tmp_path / "other", max_length=99)
    shutil.rmtree(folder)
    (tmp_path / "other").rename(folder)
    found = IndexedCorpus.ensure(text, *vocabularies, cache, max_length=50)
    assert same(found.batch(range(120)), expected)


def test_an_index_of_another_version_is_refused(tmp_path, text, vocabularies) -> None:
    IndexedCorpus.build(text, *vocabularies, tmp_path / "x", max_length=50)
    path = tmp_path / "x" / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(RunError, match="it has format 99"):
        IndexedCorpus.open(tmp_path / "x")


def test_invalid_text_leaves_no_files(tmp_path: Path, vocabularies, monkeypatch) -> None:
    monkeypatch.setattr("pyro_align.data.index._CHUNK", 1)
    monkeypatch.setattr(ParallelText, "fingerprint", lambda self: "")
    path = tmp_path / "x.tsv"
    path.write_text("ein\ta\nhund\n")
    with pytest.raises(DataError, match="2: expected source"):
        IndexedCorpus.build(
            ParallelText.open([path]), *vocabularies, tmp_path / "c" / "x", max_length=9
        )
    assert list((tmp_path / "c").iterdir()) == []


def test_a_full_disk_leaves_no_files(tmp_path, text, vocabularies, monkeypatch) -> None:
    def full(self: IndexWriter, ids: object, pairs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(IndexWriter, "add", full)
    with pytest.raises(RunError, match="No space left on device; free disk space"):
        IndexedCorpus.build(text, *vocabularies, tmp_path / "c" / "x", max_length=50)
    assert list((tmp_path / "c").iterdir()) == []


def test_a_killed_build_is_not_used(tmp_path, text, vocabularies) -> None:
    model = tmp_path / "model"
    vocabularies[0].save(model)
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        import pyro_align.data.index as index
        from pyro_align.data import ParallelText, Vocabulary
        index._CHUNK = 5
        def wait(read):
            print(read, flush=True)
            time.sleep(0.01 if read < 50 else 60)
        source, target, model, cache = map(Path, sys.argv[1:])
        vocabulary = Vocabulary.load(model)
        index.IndexedCorpus.ensure(
            ParallelText.open([source, target]), vocabulary, vocabulary, cache,
            max_length=99, progress=wait,
        )
        """
    )
    cache = tmp_path / "cache"
    arguments = [sys.executable, "-c", script, *text.paths, model, cache]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.strip() == "50" for line in process.stdout)
        process.send_signal(signal.SIGKILL)
    (partial,) = cache.iterdir()
    assert partial.name.startswith(".")

    vocabulary = Vocabulary.load(model)
    corpus = IndexedCorpus.ensure(text, vocabulary, vocabulary, cache, max_length=99)
    assert len(corpus) == 120
    assert partial.exists()  # it might still be somebody's
    later = time.time() + 2 * index_files._ABANDONED
    (built,) = set(cache.iterdir()) - {partial}
    built.rename(tmp_path / "elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_files.time, "time", lambda: later)
        IndexedCorpus.ensure(text, vocabulary, vocabulary, cache, max_length=99)
    assert list(cache.iterdir()) == [built]
