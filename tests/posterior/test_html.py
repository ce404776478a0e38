"""HTML of the view, without a browser."""

import base64
import html.parser
import json
import re
import zlib

import numpy as np
import pytest
from browser import HOSTILE, posterior, sentence, words

from pyro_align.data import GoldLinks
from pyro_align.posterior import AlignmentPosterior
from pyro_align.posterior.html import asset, page, render


class Reader(html.parser.HTMLParser):
    """Collects elements, and the text of scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] == "script":
            self.scripts.append(data)


def embedded(text):
    """Return the data of the view."""
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    return json.loads(data)


def unpacked(sentence, kinds):
    """Decode matrices and other numbers, following the description of the format."""
    data = zlib.decompress(base64.b64decode(sentence["data"]))
    shape = (kinds, len(sentence["target"]), len(sentence["source"]))
    cells = int(np.prod(shape))
    high, low = (np.frombuffer(data, np.uint8, cells, start) for start in (0, cells))
    codes = 256.0 * high + low
    return (codes / 65535).reshape(shape) ** 4, np.frombuffer(data, "<f4", offset=2 * cells)


def test_packed_data_have_three_significant_digits():
    one = sentence(words("s", 7), words("t", 5), gold=GoldLinks(frozenset({(0, 1)})))
    data = embedded(render(posterior(one)))
    (found,) = data["sentences"]
    assert data["kinds"] == ["prior", "guide", "posterior"]
    assert (tuple(found["source"]), tuple(found["target"])) == (one.source, one.target)
    assert found["gold"] == {"sure": [[0, 1]], "possible": []}
    matrices, rest = unpacked(found, 3)
    for kind, matrix in zip(data["kinds"], matrices, strict=True):
        true = one.matrix(kind).astype(float)
        assert np.abs(matrix - true).max() < 3.1e-5
        seen = true > 2e-5
        assert np.abs(matrix / true - 1)[seen].max() < 5e-4
    names = data["measures"]
    assert set(names) >= {"prior_entropy", "posterior_entropy", "kl", "gap", "log_evidence"}
    for name, values in zip(names, rest.reshape(len(names), 5), strict=True):
        np.testing.assert_allclose(values, getattr(one, name), rtol=1e-6, atol=1e-7)


def test_zero_and_one_are_exact():
    one = sentence(words("s", 2), ["t"], soft=True)
    one.prior[:] = [[0.0, 1.0]]
    matrices, _ = unpacked(embedded(render(posterior(one)))["sentences"][0], 1)
    assert matrices.tolist() == [[[0.0, 1.0]]]


def test_tokens_are_text():
    for one in (sentence(HOSTILE, words("t", 3)), sentence(words("s", 3), HOSTILE)):
        text = page("a <title>", [render(posterior(one, title="<script>alert(2)</script>"))])
        reader = Reader(text)
        assert [tag for tag, _ in reader.elements].count("script") == 3
        assert not [tag for tag, _ in reader.elements if tag in ("img", "title ")]
        assert not [name for _, attrs in reader.elements for name in attrs if name[:2] == "on"]
        assert [tuple(embedded(text)["sentences"][0][side]) for side in ("source", "target")] == [
            one.source,
            one.target,
        ]
        for script in reader.scripts[1:]:
            assert "alert" not in script


def test_the_page_loads_nothing():
    text = page("a page", [render(posterior(sentence(["ein"], ["a"])))])
    text = text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|\bfetch\(|XMLHttp|import\(", text)
    assert not [attrs for _, attrs in Reader(text).elements if {"src", "href"} & attrs.keys()]
    assert "default-src 'none'" in text


def test_rendering_is_deterministic():
    one, other = (posterior(sentence(words("s", 4), words("t", 3))) for _ in range(2))
    assert render(one) == render(other) == one._repr_html_()


def test_the_size_of_a_thousand_sentences():
    generator = np.random.default_rng(0)
    sizes = generator.integers(10, 51, size=(1000, 2))
    many = posterior(*(sentence(words("s", s), words("t", t), i) for i, (s, t) in enumerate(sizes)))
    # Random logits of deviation 4 are harder to pack than what models make of text.
    assert len(render(many).encode()) < 10e6


def test_a_table_replaces_the_view_without_scripts():
    one = sentence(words("s", 3), ["<b>", "t"], soft=True)
    one.prior[:] = [[0.25, 0.75, 0.0], [0.0, 0.004, 0.996]]
    text = render(posterior(one))
    table = text[text.index("<table>") : text.index("</table>")]
    assert re.findall(r"<td[^>]*>(.*?)</td>", table) == ["25", "75", "", "", "", "100"]
    assert "&lt;b&gt;" in table


def test_the_table_is_cut_at_24_tokens():
    table = render(posterior(sentence(words("s", 100), words("t", 90)))).partition("</table>")[0]
    assert table.count("<td") == 24 * 24
    assert "the first 24 tokens" in table


def test_without_sentences():
    assert "no sentence pairs" in render(AlignmentPosterior([], "<b>"))
    assert "<b>" not in render(AlignmentPosterior([], "<b>"))


@pytest.mark.parametrize(
    "name", ["colours.js", "theme.js", "data.js", "export.js", "view.js", "page.js"]
)
def test_scripts_cannot_end_their_element(name):
    assert "</" not in asset(name)
    assert "<!--" not in asset(name)
