from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.corpus.links import (
    GoldLinks,
    check_links,
    format_links,
    parse_links,
    read_links,
)
from pyro_align.errors import DataError

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
        list(read_links(path))
    assert (caught.value.path, caught.value.line) == (path, 2)
    assert repr(word) in str(caught.value)


def test_a_file_has_a_line_for_each_pair(tmp_path: Path) -> None:
    path = tmp_path / "gold"
    path.write_text("0-0\n\n1p1\n")
    assert [sorted(links.possible) for links in read_links(path)] == [[(0, 0)], [], [(1, 1)]]


def test_out_of_range() -> None:
    check_links({(2, 3)}, 3, 4)
    with pytest.raises(
        DataError, match=r"gold:7: link 3-3 points outside .* 3 source and 4 target"
    ):
        check_links({(0, 0), (3, 3)}, 3, 4, Path("gold"), 7)
    with pytest.raises(DataError, match="link 2-4"):
        check_links({(2, 4)}, 3, 4)
