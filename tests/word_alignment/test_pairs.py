import gzip
import io
import os
from pathlib import Path

import pytest

from pyro_align.data import ParallelText, read_lines, split_words
from pyro_align.errors import DataError
from pyro_align.word_alignment import Pair, PairText

PAIRS = [Pair("ein hund", "a dog", 1), Pair("", "", 2), Pair("ein", "", 3), Pair("", "a", 4)]
TSV = "ein hund\ta dog\n\nein\t\n\ta\n"
JSONL = (
    '{"source": "ein hund", "target": "a dog", "links": "0-0"}\n\n'
    '{"source": "ein", "target": ""}\n{"source": "", "target": "a"}\n'
)
BARS = "ein hund ||| a dog\n\nein |||\n||| a\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [("x.tsv", TSV), ("x.jsonl", JSONL), ("x.fa", BARS), ("x", BARS), ("x.txt", TSV)],
)
def test_one_file(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert list(PairText.open([path])) == PAIRS
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    again = PairText.open([packed])
    assert list(again) == list(again) == PAIRS


def test_two_files(tmp_path):
    source, target = tmp_path / "in.de", tmp_path / "in.en.gz"
    source.write_text("ein hund\n\nein\n\n")
    target.write_bytes(gzip.compress(b"a dog\n\n\na\n"))
    assert list(PairText.open([source, target])) == PAIRS


@pytest.mark.parametrize("text", [BARS, TSV])
def test_a_stream(text):
    assert list(PairText.open([io.BytesIO(text.encode())])) == PAIRS


def test_further_columns_are_ignored(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("ein\ta\t0-0\tnote\n")
    assert list(PairText.open([path])) == [Pair("ein", "a", 1)]


def test_empty_lines_and_sides():
    assert [pair.is_empty for pair in PAIRS] == [False, True, True, True]
    assert Pair(" \x0b", "a", 1).is_empty


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("x.fa", "ein hund a dog"),
        ("x.fa", "ein ||| a ||| dog"),
        ("x.fa", "ein|||a"),
        ("x.fa", "ein\ta\t0-0"),
        ("x.fa", "ein ||| a\thund"),
        ("x.fa", "ein\t||| a"),
        ("x.tsv", "ein hund a dog"),
        ("x.jsonl", "ein hund"),
        ("x.jsonl", '["ein", "a"]'),
        ("x.jsonl", '{"source": "ein"}'),
        ("x.jsonl", '{"source": 1, "target": 2}'),
        ("x.jsonl", '{"source": "\\ud800", "target": "a"}'),
    ],
)
def test_invalid_lines_are_rejected(tmp_path, name, line):
    path = tmp_path / name
    path.write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"expected|both") as caught:
        list(PairText.open([path]))
    assert (caught.value.path, caught.value.line) == (path, 2)


def test_invalid_lines_of_a_stream_are_rejected():
    with pytest.raises(DataError, match=r"<stdin>:2: expected source \|\|\| target"):
        list(PairText.open([io.BytesIO(b"a ||| b\nc\n")]))


@pytest.mark.parametrize("lines", [(3, 2), (2, 3), (0, 1)])
def test_sides_of_different_length(tmp_path, lines):
    paths = [tmp_path / "in.de", tmp_path / "in.en"]
    for path, number in zip(paths, lines, strict=True):
        path.write_text("x\n" * number)
    with pytest.raises(DataError, match=f"ends after {min(lines)} lines, but .* goes on") as caught:
        list(PairText.open(paths))
    assert caught.value.path == paths[lines.index(min(lines))]


def test_invalid_text_is_rejected(tmp_path):
    path = tmp_path / "x"
    path.write_text("")
    assert not list(PairText.open([path]))
    for inputs in ([], [path] * 3, [path, io.BytesIO()]):
        with pytest.raises(DataError, match="two files"):
            PairText.open(inputs)
    with pytest.raises(DataError, match="missing: no such file"):
        PairText.open([path, Path("missing")])


def test_words_keep_their_places(tmp_path):
    """Words are split as in separate files."""
    line = "ein\u00a0alter  hund\u2028bellt"
    (tmp_path / "x").write_text(f"{line} ||| a\n", encoding="utf-8")
    (pair,) = PairText.open([tmp_path / "x"])
    assert split_words(pair.source) == split_words(line) == ["ein\u00a0alter", "hund\u2028bellt"]
    assert list(read_lines(tmp_path / "x")) == [f"{line} ||| a"]


def pipe(content: bytes) -> Path:
    """Like ``<(command)`` in a shell: it can be read once."""
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    return Path(f"/dev/fd/{reader}")


def test_pipes_are_copied_to_be_read_again(tmp_path):
    paths = [pipe(b"ein hund\n\nein\n\n"), pipe(gzip.compress(b"a dog\n\n\na\n"))]
    text = PairText.open(paths).rereadable(tmp_path)
    assert list(text) == list(text) == PAIRS
    assert text.path == paths[0]
    stream = PairText.open([io.BytesIO(BARS.encode())]).rereadable(tmp_path)
    assert list(stream) == list(stream) == PAIRS


def test_errors_in_a_pipe_name_the_pipe(tmp_path):
    paths = [pipe(b"a\n\xff\n"), pipe(b"a\nb\n")]
    with pytest.raises(DataError, match="2: not UTF-8") as caught:
        list(PairText.open(paths).rereadable(tmp_path))
    assert caught.value.path == paths[0]


def test_a_file_is_not_copied(tmp_path):
    (tmp_path / "x").write_text(BARS)
    (tmp_path / "scratch").mkdir()
    assert list(PairText.open([tmp_path / "x"]).rereadable(tmp_path / "scratch")) == PAIRS
    assert not list((tmp_path / "scratch").iterdir())


def test_a_pipe_is_rejected_for_training_and_evaluation(tmp_path):
    (tmp_path / "a.en").write_text("a\n")
    with pytest.raises(DataError, match=r"/dev/fd/\d+: a pipe .*read only once"):
        ParallelText.open([pipe(b"ein\n"), tmp_path / "a.en"])
