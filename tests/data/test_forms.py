import bz2
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.data import (
    CONLL_2017,
    PRONUNCIATION,
    SIGMORPHON_2016,
    FormLayout,
    FormPair,
    FormText,
    GoldLinks,
    read_forms,
)
from pyro_align.errors import ConfigError, DataError

WITH_LINKS = FormLayout(("source", "target", "links"))


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, layout: FormLayout = PRONUNCIATION, needs_target: bool = True) -> str:
    with pytest.raises(DataError) as caught:
        list(read_forms(path, layout, needs_target=needs_target))
    return str(caught.value)


def test_words_with_phonemes(tmp_path):
    path = write(tmp_path / "a.tsv", "hôtel\to t ɛ l\nan phong\tʔ aː n ˧˧\n")
    assert list(read_forms(path)) == [
        FormPair("hôtel", "o t ɛ l", path=path, line=1),
        FormPair("an phong", "ʔ aː n ˧˧", path=path, line=2),
    ]


def test_both_orders_of_features_give_the_same_pairs(tmp_path):
    new = write(tmp_path / "new", "gehen\tgingst\tV;PST;2;SG\nauf\tauf\t\n")
    old = write(tmp_path / "old", "gehen\tV,PST,2,SG\tgingst\nauf\t\tauf\n")
    found = [
        [(pair.source, pair.target, pair.tags) for pair in read_forms(path, layout)]
        for path, layout in ((new, CONLL_2017), (old, SIGMORPHON_2016))
    ]
    assert (
        found[0]
        == found[1]
        == [
            ("gehen", "gingst", ("V", "PST", "2", "SG")),
            ("auf", "auf", ()),
        ]
    )


def test_features_of_2016(tmp_path):
    path = write(tmp_path / "a", "gehen\tpos=V,tense=PST\tging\n")
    (pair,) = read_forms(path, SIGMORPHON_2016)
    assert pair.tags == pair.features == ("pos=V", "tense=PST")


def test_a_column_can_be_ignored(tmp_path):
    path = write(tmp_path / "a", "7\tgeht\tV; PRS\tgehen\n")
    (pair,) = read_forms(path, FormLayout(("-", "target", "features", "source")))
    assert (pair.source, pair.target, pair.features) == ("gehen", "geht", ("V", "PRS"))


def test_links(tmp_path):
    path = write(tmp_path / "a", "she\tʃ iː\t0?0 1?0 2-1\n")
    (pair,) = read_forms(path, WITH_LINKS)
    assert pair.links == GoldLinks(frozenset({(2, 1)}), frozenset({(0, 0), (1, 0)}))
    assert "'x' is not a link" in refusal(write(path, "a\tb\tx\n"), WITH_LINKS)


@pytest.mark.parametrize(
    ("content", "compress"),
    [
        ("\ufeffa\tb\r\nc\td\r\n", bytes),
        ("a\tb\nc\td", bytes),
        ("a \t b\n  c\td \n", bytes),
        ("a\tb\nc\td\n", gzip.compress),
        ("a\tb\nc\td\n", bz2.compress),
    ],
)
def test_the_fingerprint_depends_on_the_content(tmp_path, content, compress):
    path = write(tmp_path / "a", compress(content.encode()))
    assert [(pair.source, pair.target) for pair in read_forms(path)] == [("a", "b"), ("c", "d")]
    plain = FormText([write(tmp_path / "plain", "a\tb\nc\td\n")])
    assert FormText([path]).fingerprint() == plain.fingerprint()


@pytest.mark.parametrize(
    ("rows", "layout", "message"),
    [
        (
            "a\tb\na\n",
            PRONUNCIATION,
            ":2: expected tab-separated columns, 2 (source, target)",
        ),
        (
            "a\tb\tV\n",
            PRONUNCIATION,
            ":1: expected tab-separated columns, 2 (source, target)",
        ),
        ("a\tb\n", CONLL_2017, ":1: expected tab-separated columns, 3 (source, target, features)"),
        ("a\tb\tV\n", PRONUNCIATION, "got 3 columns; correct the line, or name the columns"),
        ("a\tb\n\nc\td\n", PRONUNCIATION, "got an empty line"),
        ("a\tb\n \td\n", PRONUNCIATION, ":2: the source form is empty"),
        ("a\t\n", PRONUNCIATION, ":1: the target form is empty"),
        ("a\t\u3000\n", PRONUNCIATION, ":1: the target form is empty"),
        ("a\tb\tV;;SG\n", CONLL_2017, ":1: 'V;;SG' has an empty feature"),
        ("", PRONUNCIATION, "no lines"),
    ],
)
def test_errors_name_file_and_line(tmp_path, rows, layout, message):
    path = write(tmp_path / "x.tsv", rows)
    error = refusal(path, layout)
    assert error.startswith(str(path))
    assert message in error


def test_other_encodings_are_refused(tmp_path):
    path = write(tmp_path / "x.tsv", "a\tb\nsch\xf6n\tx\n".encode("latin-1"))
    assert f"{path}:2: not UTF-8" in refusal(path)


@pytest.mark.parametrize(
    ("row", "layout", "features"),
    [
        ("gehen", PRONUNCIATION, ()),
        ("gehen\t", PRONUNCIATION, ()),
        ("gehen\tV;PST", CONLL_2017, ("V", "PST")),
        ("gehen\t\tV;PST", CONLL_2017, ("V", "PST")),
        ("gehen\tV,PST", SIGMORPHON_2016, ("V", "PST")),
        ("gehen", WITH_LINKS, ()),
    ],
)
def test_input_for_prediction_needs_no_target(tmp_path, row, layout, features):
    path = write(tmp_path / "x", f"{row}\n")
    (pair,) = read_forms(path, layout, needs_target=False)
    assert (pair.source, pair.target, pair.features) == ("gehen", None, features)
    assert f"{path}:1: " in refusal(path, layout)


def test_input_for_prediction_may_have_targets_and_needs_sources(tmp_path):
    path = write(tmp_path / "x", "gehen\tging\tV;PST\nsehen\tV;PST\n")
    assert [pair.target for pair in read_forms(path, CONLL_2017, needs_target=False)] == [
        "ging",
        None,
    ]
    assert "1: the source form is empty" in refusal(
        write(path, "\tV;PST\n"), CONLL_2017, needs_target=False
    )
    assert "3 (source, target, features) or 2 (source, features), got 1" in refusal(
        write(path, "gehen\n"), CONLL_2017, needs_target=False
    )


def test_a_stream_has_no_path(tmp_path):
    with write(tmp_path / "x", "a\tb\nc\n").open("rb") as stream:
        pairs = read_forms(stream)
        assert next(pairs).path is None
        with pytest.raises(DataError, match=r"^<stdin>:2: expected"):
            next(pairs)


def test_several_languages(tmp_path):
    paths = [write(tmp_path / name, f"{name}\tx\tV\n") for name in ("one", "two")]
    text = FormText(paths, CONLL_2017, ["ady", "kor"])
    expected = [("one", ("language=ady", "V")), ("two", ("language=kor", "V"))]
    for _ in range(2):
        assert [(pair.source, pair.tags) for pair in text] == expected
    assert [(pair.path, pair.line) for pair in text] == [(path, 1) for path in paths]


def test_fingerprint_covers_everything_of_a_pair(tmp_path):
    def fingerprint(content, layout, languages=None):
        return FormText([write(tmp_path / "x", content)], layout, languages).fingerprint()

    prints = [
        fingerprint("a\tb\tV;PST\n", CONLL_2017),
        fingerprint("a\tb\tPST;V\n", CONLL_2017),
        fingerprint("a\tb\tV;PST\n", CONLL_2017, ["x"]),
        fingerprint("b\ta\tV;PST\n", CONLL_2017),
        fingerprint("a\tb\n", PRONUNCIATION),
        fingerprint("a\tb\t0-0\n", WITH_LINKS),
        fingerprint("a\tb\t0?0\n", WITH_LINKS),
    ]
    assert len(set(prints)) == len(prints)
    assert fingerprint("a\tV,PST\tb\n", SIGMORPHON_2016) == prints[0]


def test_a_text_is_checked_before_it_is_read(tmp_path):
    here = write(tmp_path / "here", "a\tb\n")
    with pytest.raises(DataError, match="no such file"):
        FormText([here, tmp_path / "gone"])
    with pytest.raises(DataError, match="at least one"):
        FormText([])
    with pytest.raises(ConfigError, match=r"files \(1\) and languages \(2\) differ"):
        FormText([here], languages=["a", "b"])


@pytest.mark.parametrize(
    ("columns", "separator", "message"),
    [
        (("source", "form"), ";", "unknown column 'form': use source, target"),
        (("source",), ";", "column 'target' is missing in source"),
        (("target", "-"), ";", "column 'source' is missing"),
        (("source", "target", "source"), ";", "column 'source' is given twice"),
        (("source", "target"), "", "separator"),
        (("source", "target"), "\t", "separator"),
    ],
)
def test_invalid_layouts_are_rejected(columns, separator, message):
    with pytest.raises(ConfigError, match=message):
        FormLayout(columns, separator)
    assert FormLayout(("-", "source", "-", "target")).input_columns == ("-", "source", "-")


cells = st.text(st.characters(exclude_characters="\t\n", exclude_categories=["Cs"])).filter(
    lambda text: text.strip() and text == text.strip(" \r\ufeff")
)


@given(rows=st.lists(st.tuples(cells, cells, st.lists(st.sampled_from("VNSG1"))), min_size=1))
def test_forms_come_back_as_written(tmp_path_factory, rows):
    lines = ["\t".join([source, target, ";".join(tags)]) for source, target, tags in rows]
    path = write(tmp_path_factory.mktemp("forms") / "x", "".join(f"{line}\n" for line in lines))
    found = [(pair.source, pair.target, [*pair.tags]) for pair in read_forms(path, CONLL_2017)]
    assert found == rows
