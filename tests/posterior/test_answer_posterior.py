"""Posteriors of questions: tables, orders, HTML, pictures, figures."""

import base64
import dataclasses
import io
import json
import re
import xml.etree.ElementTree as ET
import zlib

import matplotlib
import numpy as np
import pytest
from browser import HOSTILE
from matplotlib.patches import Rectangle
from PIL import Image
from questions import BOXES, NAMES, drawing, one, scene, some

import pyro_align
from pyro_align.data import Regions
from pyro_align.errors import ConfigError, UserError
from pyro_align.posterior import AnswerPosterior, Picture, RegionImage


def test_regions_as_a_table(tmp_path):
    posterior = some()
    frame = posterior.to_frame()
    assert len(frame) == 12
    for number, each in enumerate(posterior):
        rows = frame[frame["question"] == number]
        assert rows["region"].tolist() == [0, 1, 2, 3]
        assert rows["name"].tolist() == list(NAMES)
        assert (rows["text"] == each.question.text).all()
        assert (rows["answer"] == each.observed).all()
        assert (rows[["left", "top", "right", "bottom"]].to_numpy() == BOXES).all()
        for kind in each.kinds:
            assert rows[kind].tolist() == each.regions(kind).tolist()
    assert frame["gold"].tolist() == [True, False, False, False] * 2 + [None] * 4
    posterior.to_csv(tmp_path / "x.csv")
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 13
    whole = AnswerPosterior([one(), dataclasses.replace(one(), alignment=without_guide())])
    assert whole.to_frame()["guide"].isna().tolist() == [False] * 4 + [True] * 4
    assert whole.kinds == ("prior", "posterior")


def without_guide():
    nothing = dict.fromkeys(("guide", "elbo", "kl", "gap"))
    return dataclasses.replace(one().alignment, **nothing)


def test_answers_and_questions_as_tables():
    posterior = some()
    answers = posterior.answers_frame()
    assert answers["answer"].tolist() == ["red", "blue", "green", "no", "yes", "2", "3"]
    assert answers["probability"].tolist() == [0.7, 0.2, 0.05, 0.9, 0.1, 0.5, 0.3]
    assert answers["given"].tolist()[:5] == [1, 0, 0, 0, 1]
    assert answers["given"].isna().tolist() == [False] * 5 + [True] * 2
    questions = posterior.questions_frame()
    assert questions["correct"].tolist() == [True, False, None]
    assert questions["predicted"].tolist() == ["red", "no", "2"]
    assert questions["answer"].tolist()[:2] == ["red", "yes"]
    assert questions["kind"].tolist() == ["colour", "", ""]
    for row, each in zip(questions.to_dict("records"), posterior, strict=True):
        kl = (each.regions("guide") * np.log(each.regions("guide") / each.regions("prior"))).sum()
        assert row["kl"] == pytest.approx(kl, rel=1e-5)


def test_orders():
    posterior = AnswerPosterior(
        [
            one(seed=seed, probabilities=(top, 0.1, 0.05), gold=gold)
            for seed, (top, gold) in enumerate(
                [(0.6, "red"), (0.4, "blue"), (0.8, "green"), (0.5, None), (0.3, "blue")]
            )
        ]
    )
    assert posterior.order("file") == [0, 1, 2, 3, 4]
    assert posterior.order("answer") == [4, 1, 3, 0, 2]
    assert posterior.order("wrong") == [2, 1, 4]
    weights = [each.regions("posterior").astype(float) for each in posterior]
    priors = [each.regions("prior").astype(float) for each in posterior]
    entropies = [-(w * np.log(w)).sum() for w in weights]
    assert posterior.order("region") == np.argsort(entropies)[::-1].tolist()
    moved = [(w * np.log(w / p)).sum() for w, p in zip(weights, priors, strict=True)]
    assert posterior.order("divergence") == np.argsort(moved)[::-1].tolist()
    with pytest.raises(ConfigError, match="no order 'wrong' of these"):
        posterior[3:4].order("wrong")
    assert posterior[3:4].orders == ("file", "answer", "region", "divergence")


def test_the_sequence():
    posterior = some()
    assert repr(posterior) == "AnswerPosterior('categorical with amortized', 3 questions)"
    assert posterior[1:].question(-1).question.text == "how many?"
    assert posterior[1:].title == posterior.title
    assert [each.source for each in posterior.alignments] == [NAMES] * 3
    table = posterior.alignments.calibration("posterior")
    assert table["tokens"].sum() == 2  # questions with gold regions
    assert pyro_align.AnswerPosterior is AnswerPosterior


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: some().question(3), "no question 3: there are 3"),
        (lambda: some().plot(0, "nothing"), "no 'nothing'"),
        (lambda: some().plot(0, ()), "no distribution to plot: choose from"),
        (lambda: some().plot(0, path="x.jpg"), r"end in \.png"),
        (lambda: AnswerPosterior([]).to_frame(), "no questions"),
        (lambda: one(probabilities=(0.5,)), "3 answers with 1 probabilities"),
        (lambda: dataclasses.replace(one(), image=scene_of(1)), "has 1 regions"),
        (lambda: RegionImage(BOXES, NAMES[:2]), "2 names of regions"),
        (lambda: RegionImage(np.zeros((0, 4)), ()), "at least one region"),
        (lambda: RegionImage(BOXES * 2, NAMES), "must be fractions"),
        (lambda: RegionImage(BOXES * np.nan, NAMES), "must be fractions"),
        (lambda: RegionImage(BOXES[:, ::-1], NAMES), "must be fractions"),
    ],
)
def test_bad_input(act, message):
    with pytest.raises(UserError, match=message):
        act()


def scene_of(count):
    return RegionImage(BOXES[:count], NAMES[:count])


def test_regions_without_places_do_not_overlap():
    for count in (1, 2, 5, 36):
        boxes = RegionImage.without_boxes([str(n) for n in range(count)]).boxes
        assert boxes.shape == (count, 4)
        assert ((boxes >= 0) & (boxes <= 1)).all()
        middles = {tuple(np.round((box[:2] + box[2:]) / 2, 6)) for box in boxes}
        assert len(middles) == count


def test_regions_of_a_file():
    features = np.zeros((4, 2), np.float32)
    pixels = (BOXES * [300, 200, 300, 200]).astype(np.float32)
    found = RegionImage.of(Regions(features, pixels, 300, 200))
    assert found.names == ("region 0", "region 1", "region 2", "region 3")
    assert found.boxes == pytest.approx(BOXES, abs=1e-6)
    assert (found.width, found.height, found.picture) == (300, 200, None)
    relative = Regions(features, BOXES.astype(np.float32))
    found = RegionImage.of(relative, NAMES, Image.new("RGB", (600, 300)))
    assert (found.width, found.height) == (600, 300)
    assert found.names == NAMES
    assert found.picture.pixels().shape == (160, 320, 3)
    found = RegionImage.of(Regions(features, None), picture=Image.new("RGB", (600, 300)))
    assert found.boxes.tolist() == RegionImage.without_boxes(NAMES).boxes.tolist()
    assert found.picture is None  # nothing is known of where in it the regions are


def test_cells_of_a_grid():
    found = RegionImage.grid(Image.new("RGB", (60, 30)), 2, 3)
    assert found.names[4] == "row 2, column 2"
    assert found.boxes[4] == pytest.approx([1 / 3, 1 / 2, 2 / 3, 1])
    assert (found.width, found.height) == (60, 30)


def test_pictures_are_small():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    photo = Picture.of(Image.fromarray(noise))
    assert photo.format == "jpeg"
    assert photo.pixels().shape == (240, 320, 3)
    assert len(photo.data) < 64 * 1024
    flat = Picture.of(Image.new("RGB", (64, 48), (255, 0, 0)))
    assert flat.pixels().shape == (48, 64, 3)
    assert (flat.pixels() == [1, 0, 0]).all() or flat.format == "jpeg"
    assert len(flat.data) < 1024
    kind, _, content = photo.url.partition(";base64,")
    assert kind == "data:image/jpeg"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (320, 240)


def test_a_saved_posterior_is_the_same(tmp_path):
    whole = AnswerPosterior([*some(), one(image=scene(False), gold="green")], "a model")
    whole.save(tmp_path / "x.npz")
    found = AnswerPosterior.load(tmp_path / "x.npz")
    assert found.title == "a model"
    for each, other in zip(found, whole, strict=True):
        assert (each.question, each.answers) == (other.question, other.answers)
        assert each.probabilities.tolist() == other.probabilities.tolist()
        assert each.image.boxes.tolist() == other.image.boxes.tolist()
        assert each.image.names == other.image.names
        assert (each.image.width, each.image.height) == (200, 100)
        assert each.image.picture == other.image.picture
        assert each.alignment.gold == other.alignment.gold
    assert found[0].image is found[1].image
    assert found._repr_html_() == whole._repr_html_()
    assert found.to_frame().equals(whole.to_frame())


def test_damaged_files_are_rejected(tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(UserError, match="cannot be read: No such file"):
        AnswerPosterior.load(path)
    some().save(path)
    with pytest.raises(UserError, match=r"damaged, or not a file of AlignmentPosterior\.save"):
        pyro_align.AlignmentPosterior.load(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"damaged, or not a file of AnswerPosterior\.save"):
        AnswerPosterior.load(path)
    some().alignments.save(path)
    with pytest.raises(UserError, match="damaged, or not a file of AnswerPosterior"):
        AnswerPosterior.load(path)
    with pytest.raises(UserError, match="no questions"):
        AnswerPosterior([]).save(path)


def data(text):
    (found,) = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def test_each_image_is_embedded_once():
    image = scene()
    posterior = AnswerPosterior([one(image=image, seed=seed) for seed in range(5)] + [one()])
    text = posterior._repr_html_()
    assert text.count(image.picture.url) == 2  # the last question has an image of its own
    found = data(text)
    assert [question["image"] for question in found["sentences"]] == [0] * 5 + [1]
    assert found["images"][0]["boxes"] == BOXES.tolist()


def test_the_data_of_the_view():
    posterior = some()
    found = data(posterior._repr_html_())
    assert found["orders"] == [
        [name, label, posterior.order(name)]
        for name, label in {
            "file": "as in the file",
            "answer": "least certain answer",
            "region": "least certain region",
            "divergence": "largest divergence of posterior and prior",
            "wrong": "wrong answers, most certain first",
        }.items()
    ]
    for question, each in zip(found["sentences"], posterior, strict=True):
        packed = zlib.decompress(base64.b64decode(question["data"]))
        high, low = np.frombuffer(packed, np.uint8, 24).reshape(2, 3, 4)
        shares = ((256.0 * high + low) / 65535) ** 4
        for kind, share in zip(("prior", "guide", "posterior"), shares, strict=True):
            assert share == pytest.approx(each.regions(kind), abs=3.1e-5)
        assert question["answers"] == [
            [answer, probability]
            for answer, probability in zip(each.answers, each.probabilities, strict=True)
        ]
    assert found["sentences"][0]["gold"]["sure"] == [[0, 0]]
    assert "gold" not in found["sentences"][2]


def test_texts_cannot_become_markup():
    image = RegionImage(BOXES, HOSTILE)
    each = one(
        HOSTILE[0], HOSTILE[:3], gold=HOSTILE[1], kind=HOSTILE[0], id=HOSTILE[1], image=image
    )
    text = AnswerPosterior([each], HOSTILE[0])._repr_html_()
    assert text.count("<script") == 2
    assert "<img" not in text
    assert data(text)["sentences"][0]["text"] == HOSTILE[0]
    assert AnswerPosterior([], "<b>")._repr_html_() == "<p>&lt;b&gt;: no questions</p>"


def test_the_page_is_written(tmp_path):
    some().to_html(tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "default-src 'none'; img-src data:" in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def frames(ax, colour):
    same = matplotlib.colors.to_rgba(colour)
    boxes = [each for each in ax.patches if isinstance(each, Rectangle)]
    return [each for each in boxes if each.get_edgecolor() == same and not each.get_fill()]


def test_figure(tmp_path):
    posterior = some()
    figure = posterior.plot(0, path=tmp_path / "x.png")
    *images, bars, _ = figure.axes
    titles = [ax.get_title(loc="left").split(" $")[0] for ax in images]
    assert titles == ["prior", "guide", "exact posterior"]
    each = posterior[0]
    for ax, kind in zip(images, each.kinds, strict=True):
        (shaded,) = ax.images
        original, values = each.image.picture.pixels(), each.regions(kind)
        # The second region lies within the third.
        covers = {0: values[0], 1: max(values[1], values[2]), 3: values[3]}
        for region, cover in covers.items():
            column, row = ((BOXES[region, :2] + BOXES[region, 2:]) * [100, 50]).astype(int)
            colour = original[row, column]
            expected = colour + (1 - colour) * 0.62 * (1 - cover)
            assert np.asarray(shaded.get_array())[row, column] == pytest.approx(expected, abs=1e-5)
        (gold,) = frames(ax, "#d55e00")
        assert (gold.get_x(), gold.get_y()) == pytest.approx((20, 50))
    assert [bar.get_width() for bar in bars.patches[:3]] == each.probabilities.tolist()
    assert len(frames(bars, "#d55e00")) == 1
    assert (tmp_path / "x.png").is_file()


def test_figure_without_a_picture(tmp_path):
    posterior = AnswerPosterior([one("<b>$x$", image=scene(False))], "$y$")
    figure = posterior.plot(0, "posterior", tmp_path / "x.svg")
    values = posterior[0].regions("posterior")
    filled = [each for each in figure.axes[0].patches if each.get_fill()]
    blues = matplotlib.colormaps["Blues"]
    colours = [blues(float(values[region])) for region in np.argsort(values, kind="stable")]
    assert np.allclose([each.get_facecolor() for each in filled], colours)
    nodes = ET.parse(tmp_path / "x.svg").iter()
    texts = ["".join(node.itertext()).strip() for node in nodes if node.tag.endswith("text")]
    assert {"<b>$x$", "$y$", "red"} <= set(texts)


def test_the_drawing_of_these_tests_has_colours():
    assert drawing().pixels()[70, 40] == pytest.approx([1, 0, 0], abs=0.05)
