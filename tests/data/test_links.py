import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.data.links import (
    FORMATS,
    GoldLinks,
    LinkFile,
    check_links,
    format_links,
    parse_links,
)
from pyro_align.data.words import split_words
from pyro_align.errors import DataError
from pyro_align.word_alignment import PairText

link_sets = st.frozensets(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8)


def test_a_line_by_hand() -> None:
    links = parse_links(" 0-0  2p1\t10?3 2-2 ")
    assert links.sure == {(0, 0), (2, 2)}
    assert links.possible == {(0, 0), (2, 2), (2, 1), (10, 3)}
    assert format_links(links) == "0-0 2?1 2-2 10?3"
    assert format_links({(2, 1), (0, 3)}) == "0-3 2-1"
    assert parse_links("") == GoldLinks(frozenset())


@given(sure=link_sets, possible=link_sets)
def test_printing_and_parsing_are_inverse(sure, possible) -> None:
    links = GoldLinks(sure, possible)
    assert links.possible >= links.sure
    assert parse_links(format_links(links)) == links


@pytest.mark.parametrize("word", ["1", "1-", "-1-2", "a-b", "1--2", "1-2-3", "1:2", "²-1", "٣-1"])
def test_not_a_link(tmp_path: Path, word: str) -> None:
    path = tmp_path / "gold"
    path.write_text(f"0-0\n1-1 {word}\n")
    with pytest.raises(DataError, match="is not a link") as caught:
        list(LinkFile(path))
    assert (caught.value.path, caught.value.line) == (path, 2)
    assert repr(word) in str(caught.value)


def test_a_file_has_a_line_for_each_pair(tmp_path: Path) -> None:
    path = tmp_path / "gold"
    path.write_text("0-0\n\n1p1\n")
    assert [sorted(links.possible) for links in LinkFile(path)] == [[(0, 0)], [], [(1, 1)]]


def test_out_of_range() -> None:
    check_links({(2, 3)}, 3, 4)
    with pytest.raises(
        DataError, match=r"gold:7: link 3-3 points outside .* 3 source and 4 target"
    ):
        check_links({(0, 0), (3, 3)}, 3, 4, Path("gold"), 7)
    with pytest.raises(DataError, match="link 2-4"):
        check_links({(2, 4)}, 3, 4)


SURE, POSSIBLE = {(0, 0), (4, 2)}, {(2, 1)}
LINES = {
    "pharaoh": "0-0 2?1 4-2\n\n1-0:0.93\n",
    "talp": "1-1 3p2 5-3\n\n2-1\n",
    "naacl": "0001 1 1\n0003 2 1 S 0.4\n1 3 2 P\n1 5 3 S\n1 2 0\n\n",
    "jsonl": '{"links": [[0, 0], [4, 2]], "possible": [[2, 1]]}\n'
    '{"links": []}\n{"links": [[1, 0]]}\n',
}
EXPECTED = [
    GoldLinks(frozenset(SURE), frozenset(POSSIBLE)),
    GoldLinks(frozenset()),
    GoldLinks(frozenset({(1, 0)})),
]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format(tmp_path: Path, form: str) -> None:
    named, packed, plain = (tmp_path / name for name in (f"x.{form}", f"x.{form}.gz", "x"))
    named.write_text(LINES[form])
    packed.write_bytes(gzip.compress(LINES[form].encode()))
    plain.write_text(LINES[form])
    for path, chosen in ((named, "auto"), (packed, "auto"), (plain, form)):
        assert list(LinkFile(path, chosen)) == EXPECTED
    if form in ("naacl", "pharaoh"):
        assert list(LinkFile(plain)) == EXPECTED


def test_pairs_without_links_in_a_naacl_file(tmp_path: Path) -> None:
    path = tmp_path / "gold"
    path.write_text("2 1 1\n")
    assert [len(links.sure) for links in LinkFile(path, sentences=4)] == [0, 1, 0, 0]
    assert [len(links.sure) for links in LinkFile(path)] == [0, 1]
    with pytest.raises(DataError, match=r"gold:1: a link of sentence 2, but there are 1"):
        list(LinkFile(path, sentences=1))
    path.write_text("")
    assert len(list(LinkFile(path, "naacl", sentences=3))) == 3
    assert not list(LinkFile(path))


@pytest.mark.parametrize(
    ("form", "line", "match"),
    [
        ("talp", "0-1", "count from 1"),
        ("talp", "1-1 2-0", "count from 1"),
        ("talp", "1 1 1", "is not a link"),
        ("naacl", "1-1", "is not a link"),
        ("naacl", "1 1", "is not a link"),
        ("naacl", "1 1 1 X", "is not a link"),
        ("naacl", "0 1 1", "is not a link"),
        ("naacl", "1 -1 1", "is not a link"),
        ("jsonl", "1-1", "expected an object"),
        ("jsonl", "[]", "expected an object"),
        ("jsonl", "{}", "a pair without links has an empty list"),
        ("jsonl", '{"possible": [[1, 1]]}', "a pair without links has an empty list"),
        ("jsonl", '{"links": [[1]]}', "expected an object"),
        ("jsonl", '{"links": [["a", 1]]}', "expected an object"),
        ("pharaoh", "1-1:x", "is not a link"),
        ("pharaoh", "1 1 1 S", "is not a link"),
    ],
)
def test_lines_of_another_format_are_rejected(
    tmp_path: Path, form: str, line: str, match: str
) -> None:
    path = tmp_path / "gold"
    path.write_text(f"{LINES[form]}{line}\n")
    with pytest.raises(DataError, match=match) as caught:
        list(LinkFile(path, form))
    assert (caught.value.path, caught.value.line) == (path, LINES[form].count("\n") + 1)


@given(
    pairs=st.lists(
        st.frozensets(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=4), max_size=4
    )
)
def test_positions_that_seem_to_count_from_one(tmp_path_factory, pairs) -> None:
    """A file of another tool, whose name does not say its format."""
    path = tmp_path_factory.mktemp("links") / "gold"
    path.write_text("".join(" ".join(f"{s}-{t}" for s, t in pair) + "\n" for pair in pairs))
    positions = [position for pair in pairs for link in pair for position in link]
    if positions and 0 not in positions:
        with pytest.raises(DataError, match=r"seem to count from 1.*rename it to end in \.talp"):
            list(LinkFile(path))
        shifted = [{(s - 1, t - 1) for s, t in pair} for pair in pairs]
        assert [links.sure for links in LinkFile(path, "talp")] == shifted
    else:
        assert [links.sure for links in LinkFile(path)] == pairs


@pytest.mark.parametrize("named", ["option", "ending"])
def test_an_explicit_format_is_not_guessed(tmp_path: Path, named: str) -> None:
    path = tmp_path / ("gold.pharaoh" if named == "ending" else "gold")
    path.write_text("1-1\n2?3\n")
    found = LinkFile(path, "auto" if named == "ending" else "pharaoh")
    assert [links.possible for links in found] == [{(1, 1)}, {(2, 3)}]
    assert found.form == "pharaoh"


@pytest.mark.data
@pytest.mark.parametrize("name", ["jaen", "roen"])
def test_gold_links_of_a_corpus_that_counts_from_one(name: str) -> None:
    folder = Path(os.environ["PYRO_ALIGN_DATA"]) / "gold"
    with pytest.raises(DataError, match="seem to count from 1"):
        list(LinkFile(folder / f"{name}.gold"))
    text = PairText.open([folder / f"{name}.src-tgt"])
    for pair, links in zip(text, LinkFile(folder / f"{name}.gold", "talp"), strict=True):
        check_links(links.possible, len(split_words(pair.source)), len(split_words(pair.target)))
