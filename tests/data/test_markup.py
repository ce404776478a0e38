import re
from collections import Counter
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyro_align.data import Markup, split_words
from pyro_align.errors import DataError

TAG = re.compile(r"<[^>]*>|\{\d\}")


def monotone(count):
    return [(i, i) for i in range(count)]


@pytest.mark.parametrize(
    ("line", "text", "target", "links", "expected"),
    [
        (
            "das <b>rote Haus</b> ist alt",
            "das rote Haus ist alt",
            "the red house is old",
            monotone(5),
            "the <b>red house</b> is old",
        ),
        (
            "<i>gestern</i> kam <b>er</b>",
            "gestern kam er",
            "he came yesterday",
            [(2, 0), (1, 1), (0, 2)],
            "<b>he</b> came <i>yesterday</i>",
        ),
        (  # nested, reordered, and a word between that belongs to neither
            "<a href='x?a=1&amp;b=2'>ein <b>altes</b> Haus</a> steht",
            "ein altes Haus steht",
            "stands a very old house",
            [(3, 0), (0, 1), (1, 3), (2, 4)],
            "stands <a href='x?a=1&amp;b=2'>a very <b>old</b> house</a>",
        ),
        (  # punctuation stays outside, unless it was inside
            "(<b>ein Haus</b>), <i>alt!</i>",
            "(ein Haus), alt!",
            "(a house), old!",
            monotone(3),
            "(<b>a house</b>), <i>old!</i>",
        ),
        ("siehe {0}.", "siehe.", "see.", [(0, 0)], "see {0}."),
        ("{0} Dateien", " Dateien", "files", [(0, 0)], "{0} files"),
        ("{0}{1} Dateien {2}", " Dateien ", "files", [(0, 0)], "{0}{1} files {2}"),
        ("ein<br/>Hund", "ein Hund", "a dog", monotone(2), "a<br/> dog"),
        ("ein Hund<br>", "ein Hund", "dog a", [(0, 1), (1, 0)], "dog a<br>"),
        (  # words linked to two elements side by side are divided between them
            "<b>ein</b> <i>Hund</i>",
            "ein Hund",
            "a dog a",
            [(0, 0), (1, 1), (0, 2)],
            "<b>a</b> <i>dog</i> a",
        ),
        ("<b>der</b> Hund", "der Hund", "dogs", [(1, 0)], "<b></b>dogs"),
        ("a &lt; b &amp; c", "a < b & c", "a < b & c", [], "a &lt; b &amp; c"),
        ("<b><x/></b>", "", "", [], "<b><x/></b>"),
        ("Hund<!-- no > word -->", "Hund", "dog", [(0, 0)], "dog<!-- no > word -->"),
        (  # punctuation that is a word of its own in the translation only
            "das <b>Haus</b>.",
            "das Haus.",
            "the house .",
            [(0, 0), (1, 1), (1, 2)],
            "the <b>house</b> .",
        ),
        ("siehe <x/>.", "siehe.", "see .", [(0, 0), (0, 1)], "see <x/> ."),
        ("{{name}} sieht", " sieht", "looks", [(0, 0)], "{{name}} looks"),
        ("${name} sieht", " sieht", "looks", [(0, 0)], "${name} looks"),
        ("{0,number} Hunde", " Hunde", "dogs", [(0, 0)], "{0,number} dogs"),
        ("%1$s und %(name)s", " und ", "and", [(0, 0)], "%1$s and %(name)s"),
        ("50%s %so {a b}", "50%s %so {a b}", "50%s %so {a b}", monotone(4), "50%s %so {a b}"),
    ],
)
def test_tags_follow_their_words(line, text, target, links, expected):
    markup = Markup.cut(line)
    assert markup.text == text
    assert markup.put(target, links) == expected


def test_an_interval_has_the_most_own_words():
    markup = Markup.cut("<b>a b</b> c d e")
    # Own words at 0 and 4, three others between: only one of both can be enclosed.
    links = [(0, 0), (2, 1), (3, 2), (4, 3), (1, 4)]
    assert markup.put("v w x y z", links) == "<b>v</b> w x y z"
    # Three own words and one other: all are enclosed.
    links = [(0, 0), (2, 1), (0, 2), (1, 3)]
    assert markup.put("v w x y z", links) == "<b>v w x y</b> z"


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("ein <b>Hund", "<b> is not closed: add </b>"),
        ("ein Hund</b>", "ends no tag .*: no tag is open"),
        ("<b><i>Hund</b></i>", "</b> ends no tag .*: expected </i>"),
        ("ein < zwei", "write &lt;"),
        ("ein <b Hund", "write &lt;"),
        ("<b>" * 200 + "</b>" * 200, "more than 100 deep"),
    ],
)
def test_malformed_lines_are_rejected_with_their_number(line, match, tmp_path):
    with pytest.raises(DataError, match=f"in.de:7: .*{match}") as error:
        Markup.cut(line, tmp_path / "in.de", 7)
    assert error.value.line == 7


calm = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
"""The same examples each time, however slow the machine is."""

words = st.text("ab.,&< é(日", min_size=0, max_size=4)


@st.composite
def marked(draw, depth=3):
    """Well-formed text, with every way to join tags and words."""
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["text", "pair", "alone", "placeholder"]))
        if kind == "text" or depth == 0:
            parts.append(draw(words).replace("&", "&amp;").replace("<", "&lt;"))
        elif kind == "pair":
            name = draw(st.sampled_from(["b", "i", "a"]))
            attribute = ' href="x>y"' if name == "a" else ""
            parts.append(f"<{name}{attribute}>{draw(marked(depth=depth - 1))}</{name}>")
        elif kind == "alone":
            parts.append(f'<x id="{draw(st.integers(0, 9))}"/>')
        else:
            parts.append(f"{{{draw(st.integers(0, 9))}}}")
        parts.append(draw(st.sampled_from(["", "", " "])))
    return "".join(parts)


def shape(element):
    """Names and attributes of elements, without text, in any order of siblings."""
    return element.tag, sorted(element.attrib.items()), sorted(map(shape, element))


@given(line=marked(), target=words.flatmap(lambda w: st.lists(words).map(" ".join)), data=st.data())
@settings(calm, max_examples=300)
def test_any_nesting_and_any_alignment_give_a_well_formed_line(line, target, data):
    markup = Markup.cut(line)
    count = st.integers(0, 12)
    links = data.draw(st.lists(st.tuples(count, count), max_size=20))
    result = markup.put(target, links)
    before, after = (ElementTree.fromstring(f"<r>{each}</r>") for each in (line, result))
    assert shape(after) == shape(before)
    tags = [Counter(re.findall(r"\{\d\}", each)) for each in (line, result)]
    assert tags[0] == tags[1]
    # Without its tags it is the translation; spaces may have been added around placeholders.
    plain = "".join(after.itertext())
    assert re.sub(r"\{\d\}|\s", "", plain) == re.sub(r"\s", "", target)


@given(line=marked())
@settings(calm, max_examples=100)
def test_cutting_keeps_the_text_but_for_spaces(line):
    plain = "".join(ElementTree.fromstring(f"<r>{line}</r>").itertext())
    text = Markup.cut(line).text
    assert text.replace(" ", "") == re.sub(r"\{\d\}| ", "", plain)
    if not TAG.search(line):
        assert split_words(text) == split_words(plain)
