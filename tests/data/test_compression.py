import bz2
import gzip
import io
import lzma
from pathlib import Path

import pytest

from pyro_align.data import read_lines
from pyro_align.data.compression import text_suffix
from pyro_align.errors import DataError

TEXT = "ein hund\n\nzwei kätzchen\n"
LINES = ["ein hund", "", "zwei kätzchen"]
COMPRESSED = {
    "gzip": gzip.compress(TEXT.encode()),
    "gzip of two members": gzip.compress(b"ein hund\n\n")
    + gzip.compress("zwei kätzchen\n".encode()),
    "xz": lzma.compress(TEXT.encode()),
    "bzip2": bz2.compress(TEXT.encode()),
}


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("name", ["x", "x.de", "X.GZ", "x.gz", "x.xz"])
def test_compressed_text_is_recognised_by_its_content(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(COMPRESSED[kind])
    assert list(read_lines(path)) == LINES
    with path.open("rb") as stream:  # as standard input
        assert list(read_lines(stream)) == LINES
    assert list(read_lines(io.BytesIO(COMPRESSED[kind]))) == LINES


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress])
def test_an_empty_compressed_file_has_no_lines(tmp_path: Path, compress) -> None:
    path = tmp_path / "x"
    path.write_bytes(compress(b""))
    assert list(read_lines(path)) == []


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
@pytest.mark.parametrize("damage", ["cut off", "changed"])
def test_damaged_compressed_text(tmp_path: Path, kind: str, damage: str) -> None:
    compress = {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}[kind]
    content = bytearray(compress("".join(f"{i} {i * i % 1009}\n" for i in range(9000)).encode()))
    content[len(content) // 2] ^= 0x40
    path = tmp_path / "x"
    path.write_bytes(content if damage == "changed" else content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"x:\d+: {kind} data damaged or truncated after line"):
        list(read_lines(path))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\x28\xb5\x2f\xfd\x04\x00", "compressed with zstd: .*zstd -d"),
        (b"PK\x03\x04\x14\x00", "zip archive: .*unzip"),
        (TEXT.encode("utf-16"), "UTF-16, not UTF-8: .*iconv -f UTF-16"),
        ("\ufeffein".encode("utf-16-be"), "UTF-16, not UTF-8: .*iconv -f UTF-16"),
        (TEXT.encode("utf-32"), "UTF-32, not UTF-8: .*iconv -f UTF-32"),
        ("käse\n".encode("utf-16-le"), ":1: not UTF-8: .*iconv -f UTF-16"),
        ("käse\n".encode("latin-1"), ":1: not UTF-8: .*iconv -f ISO-8859-1"),
    ],
)
def test_unsupported_compression_is_named_with_a_command_to_convert_it(
    tmp_path: Path, content: bytes, match: str
) -> None:
    path = tmp_path / "x.gz.de"
    path.write_bytes(content)
    with pytest.raises(DataError, match=match) as caught:
        list(read_lines(path))
    assert caught.value.path == path
    with pytest.raises(DataError, match=match) as caught:
        list(read_lines(io.BytesIO(content)))
    assert str(caught.value).startswith("<stdin>:")


@pytest.mark.parametrize(("name", "kind"), [("x.gz", "gzip"), ("x.XZ", "xz"), ("x.bz2", "bzip2")])
def test_uncompressed_content_with_a_compressed_name(tmp_path, name, kind) -> None:
    path = tmp_path / name
    path.write_text(TEXT)
    with pytest.raises(DataError, match=rf":1: named .*, but its content is not {kind}"):
        list(read_lines(path))
    path.write_text("")
    assert list(read_lines(path)) == []


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.tsv", ".tsv"),
        ("A.TSV.GZ", ".tsv"),
        ("a/b.jsonl.xz", ".jsonl"),
        ("a.b2.bz2", ".b2"),
        ("a.gz", ""),
        ("a", ""),
    ],
)
def test_text_suffix_ignores_the_suffix_of_the_compression(name: str, suffix: str) -> None:
    assert text_suffix(name) == text_suffix(Path(name)) == suffix
