import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.data.text import ParallelText, SentencePair, read_lines
from pyro_align.errors import DataError

PAIRS = [("ein hund", "a dog"), ("zwei katzen", "two cats"), ("drei", "three")]
LINKS = [{(0, 0), (1, 1)}, {(0, 0)}, set()]


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def two_files(folder: Path, source: str | bytes, target: str | bytes) -> list[Path]:
    return [write(folder / "a.de", source), write(folder / "a.en", target)]


def column(side: int) -> str:
    return "".join(f"{pair[side]}\n" for pair in PAIRS)


def tsv() -> str:
    rows = ["0-0 1-1", "0-0", ""]
    return "".join(f"{s}\t{t}\t{r}\n" for (s, t), r in zip(PAIRS, rows, strict=True))


def refusal(paths: list[Path]) -> DataError:
    with pytest.raises(DataError) as caught:
        list(ParallelText.open(paths))
    return caught.value


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_two_files_can_be_read_again_and_again(tmp_path: Path, suffix: str) -> None:
    paths = [write(tmp_path / f"x.{side}{suffix}", column(side)) for side in (0, 1)]
    text = ParallelText.open(paths)
    expected = [SentencePair(s, t, None, i) for i, (s, t) in enumerate(PAIRS, start=1)]
    assert list(text) == list(text) == expected
    assert text.count() == 3
    assert (text.source_path, text.target_path) == tuple(paths)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_tsv_and_jsonl_with_links(tmp_path: Path, suffix: str) -> None:
    records = [
        {"source": s, "target": t, "links": sorted(links)}
        for (s, t), links in zip(PAIRS, LINKS, strict=True)
    ]
    records[1]["links"] = "0-0"
    lines = "\n".join(json.dumps(record) for record in records)
    table = ParallelText.open([write(tmp_path / f"x.tsv{suffix}", tsv())])
    objects = ParallelText.open([write(tmp_path / f"x.jsonl{suffix}", lines)])
    expected = [
        SentencePair(s, t, frozenset(links), i)
        for i, ((s, t), links) in enumerate(zip(PAIRS, LINKS, strict=True), start=1)
    ]
    assert list(table) == list(objects) == expected
    assert table.source_path == table.target_path


def test_links_are_optional_per_line(tmp_path: Path) -> None:
    text = ParallelText.open([write(tmp_path / "x.tsv", "a\tb\nc\td\t0-0\n")])
    assert [pair.links for pair in text] == [None, frozenset({(0, 0)})]


def test_fingerprint_does_not_depend_on_the_container(tmp_path: Path) -> None:
    plain = ParallelText.open(two_files(tmp_path, column(0), column(1)))
    crlf = [write(tmp_path / f"c.{i}.gz", column(i).replace("\n", "\r\n")) for i in (0, 1)]
    table = write(tmp_path / "x.tsv", "".join(f"{s}\t{t}\n" for s, t in PAIRS))
    same = {
        text.fingerprint() for text in (plain, ParallelText.open(crlf), ParallelText.open([table]))
    }
    assert same == {plain.fingerprint()}
    changed = write(tmp_path / "changed", column(1).replace("dog", "fox"))
    with_links = write(tmp_path / "links.tsv", tsv())
    others = {
        ParallelText.open([plain.source_path, changed]).fingerprint(),
        ParallelText.open([plain.target_path, plain.source_path]).fingerprint(),
        ParallelText.open([with_links]).fingerprint(),
    }
    assert len(others | same) == 4


def test_fingerprint_depends_on_sentence_boundaries(tmp_path: Path) -> None:
    one = write(tmp_path / "one.tsv", "ab\tc\n")
    two = write(tmp_path / "two.tsv", "a\tbc\n")
    assert ParallelText.open([one]).fingerprint() != ParallelText.open([two]).fingerprint()


@pytest.mark.parametrize(
    "odd", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85", "\r", "\u00a0"]
)
def test_only_a_newline_ends_a_line(tmp_path: Path, odd: str) -> None:
    paths = two_files(tmp_path, f"a{odd}b\nc\n", "x\ny\n")
    assert [pair.source for pair in ParallelText.open(paths)] == [f"a{odd}b", "c"]


@given(lines=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))))
def test_lines_are_returned_as_written(tmp_path_factory: pytest.TempPathFactory, lines) -> None:
    path = tmp_path_factory.mktemp("lines") / "x"
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    if lines and lines[0].startswith("\ufeff"):
        lines[0] = lines[0][1:]
    assert list(read_lines(path)) == lines


def test_a_byte_order_mark_and_a_missing_last_newline_are_accepted(tmp_path: Path) -> None:
    path = write(tmp_path / "x", b"\xef\xbb\xbfa\n\nb")
    assert list(read_lines(path)) == ["a", "", "b"]
    with path.open("rb") as stream:
        assert list(read_lines(stream)) == ["a", "", "b"]


def test_errors_in_a_stream_name_the_stream(tmp_path: Path) -> None:
    with (
        write(tmp_path / "x", b"a\n\xff\n").open("rb") as stream,
        pytest.raises(DataError, match=r"^<stdin>:2: not UTF-8"),
    ):
        list(read_lines(stream))


def test_missing_file(tmp_path: Path) -> None:
    here = write(tmp_path / "here", "a\n")
    with pytest.raises(DataError, match="no such file") as caught:
        ParallelText.open([here, tmp_path / "gone"])
    assert caught.value.path == tmp_path / "gone"
    with pytest.raises(DataError, match="no such file"):
        list(read_lines(tmp_path / "gone"))
    with pytest.raises(DataError, match="folder"):
        list(read_lines(tmp_path))


@pytest.mark.parametrize("names", [[], ["a.txt"], ["a", "b", "c"]])
def test_not_parallel_text(names: list[str]) -> None:
    with pytest.raises(DataError, match=r"two files .* one \.tsv or one \.jsonl"):
        ParallelText.open([Path(name) for name in names])


def test_empty_corpus(tmp_path: Path) -> None:
    assert "empty" in str(refusal(two_files(tmp_path, "", "")))
    assert "empty" in str(refusal([write(tmp_path / "x.jsonl.gz", "")]))


@pytest.mark.parametrize("blank", ["", "  ", "\t\x0c"])
def test_empty_line(tmp_path: Path, blank: str) -> None:
    error = refusal(two_files(tmp_path, "a\nb\n", f"x\n{blank}\n"))
    assert (error.path, error.line) == (tmp_path / "a.en", 2)
    assert "target sentence is empty" in str(error)
    error = refusal(two_files(tmp_path, f"{blank}\n", "x\n"))
    assert (error.path, error.line) == (tmp_path / "a.de", 1)


def test_unequal_lengths(tmp_path: Path) -> None:
    error = refusal(two_files(tmp_path, "a\nb\n", "x\ny\nz\nz\nz\n"))
    assert (error.path, error.line) == (tmp_path / "a.de", 2)
    assert "ends after 2 lines" in str(error)
    assert f"{tmp_path / 'a.en'} has 5" in str(error)
    error = refusal(two_files(tmp_path, "a\nb\nc\n", ""))
    assert error.path == tmp_path / "a.en"
    assert "ends after 0 lines" in str(error)
    assert f"{tmp_path / 'a.de'} has 3" in str(error)


def test_not_utf8(tmp_path: Path) -> None:
    error = refusal(two_files(tmp_path, b"\xef\xbb\xbfa\nb\nsch\xf6n\n", "x\ny\nz\n"))
    assert (error.path, error.line) == (tmp_path / "a.de", 3)
    assert "byte 0xf6 at byte offset 10 " in str(error)
    assert "iconv" in str(error)
    first = refusal(two_files(tmp_path, b"\xef\xbb\xbfa\xff\n", "x\n"))
    assert "byte offset 4 " in str(first)


@pytest.mark.parametrize("damage", ["cut", "flipped", "not gzip"])
def test_damaged_gzip(tmp_path: Path, damage: str) -> None:
    content = "".join(f"satz nummer {i} {i * 7919 % 1009}\n" for i in range(50_000)).encode()
    data = bytearray(gzip.compress(content))
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    path = tmp_path / "x.gz"
    path.write_bytes({"cut": data[: len(data) // 2], "flipped": data, "not gzip": content}[damage])
    with pytest.raises(DataError, match=r"gzip|UTF-8") as caught:
        list(read_lines(path))
    assert caught.value.path == path
    assert caught.value.line is not None
    if damage == "not gzip":
        assert caught.value.line == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("only one", "got 1 column$"),
        ("a\tb\t0-0\tmore", "got 4 columns$"),
        ("a\tb\tx", "'x' is not a link"),
        ("a\tb\t0?0", "possible links"),
        ("a\tb c\t1-1", "link 1-1 points outside a pair of 1 source and 2 target words"),
    ],
)
def test_bad_tsv(tmp_path: Path, row: str, message: str) -> None:
    error = refusal([write(tmp_path / "x.tsv", f"a\tb\n{row}\n")])
    assert error.line == 2
    with pytest.raises(DataError, match=message):
        raise error


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"source": "a"', "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "expected an object"),
        ('{"source": "a", "links": []}', "key 'target' is missing; present: 'source', 'links'"),
        ('{"source": "a", "target": 3}', "'target' must be a string, got 3"),
        ('{"source": "a", "target": "\\ud800"}', "half a surrogate"),
        ('{"source": "a", "target": ""}', "target sentence is empty"),
        ('{"source": "a", "target": "b", "links": [[0]]}', '"links" must be like'),
        ('{"source": "a", "target": "b", "links": [[0, 1.0]]}', '"links" must be like'),
        ('{"source": "a", "target": "b", "links": [[0, 1]]}', "points outside"),
        ('{"source": "a", "target": "b", "links": [[-1, 0]]}', "points outside"),
    ],
)
def test_bad_jsonl(tmp_path: Path, row: str, message: str) -> None:
    error = refusal([write(tmp_path / "x.jsonl", f'{{"source": "a", "target": "b"}}\n{row}\n')])
    assert (error.path, error.line) == (tmp_path / "x.jsonl", 2)
    assert message in str(error)
