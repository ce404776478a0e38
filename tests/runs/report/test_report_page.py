"""The report of a run, as text and in a browser."""

import json
import re

import pytest
from browser import READY, VIEW, chromium, opened
from runs import copied, sentence_pairs, shared_run

import pyro_align
from pyro_align.data import GoldLinks
from pyro_align.errors import UserError
from pyro_align.runs.display import facts, results
from pyro_align.runs.report import certainty, disagreements, report_page, write_report
from pyro_align.runs.report.curves import training


def posterior_of(run, count=12):
    pairs = sentence_pairs(count, 5)
    sources, targets = zip(*pairs, strict=True)
    gold = [GoldLinks(frozenset((i, i) for i in range(len(line.split())))) for line in sources]
    return run.posterior(sources, targets, gold=gold, words=True)


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_run())


@pytest.fixture(scope="module")
def whole(run):
    return posterior_of(run)


def test_the_card(run):
    card = dict(facts(run))
    assert card["model"] == run.config.model.name
    assert card["guide"].startswith(run.config.guide.name)
    assert card["objective"].startswith(run.config.objective.name)
    total = sum(one.numel() for one in run.model.parameters())
    assert card["parameters"].startswith(f"{total:,} of the model")
    assert card["training data"].startswith("20 sentence pairs")
    assert card["status"].startswith("finished")


def test_results(tmp_path):
    folder = copied(tmp_path)
    (folder / "results.json").unlink(missing_ok=True)
    assert results(pyro_align.load(folder)) == []
    found = {
        "perplexity": 6.11681,
        "elbo": -1.5,
        "bleu": 12.345,
        "alignment": {"prior": {"aer": 0.25}},
    }
    (folder / "results.json").write_text(json.dumps(found))
    assert results(pyro_align.load(folder)) == [
        ("perplexity per target token", "6.117"),
        ("ELBO, nats per target token", "-1.5000"),
        ("BLEU", "12.35"),
        ("AER of the prior", "0.2500"),
    ]
    (folder / "results.json").write_text("{")
    with pytest.raises(UserError, match=r"results\.json: damaged"):
        results(pyro_align.load(folder))


def test_training_curves(tmp_path, run):
    charts = training(run)
    assert len(charts) == 3
    assert all("validation" in one and "training" in one for one in charts)
    folder = copied(tmp_path)
    metrics = folder / "metrics.csv"
    header = metrics.read_text().splitlines()[0]
    row = dict.fromkeys(header.split(","), "")
    rows = [
        row | {"step": "10", "valid/perplexity": "100.0"},
        row | {"step": "20", "valid/perplexity": "inf"},
        row | {"step": "30", "valid/perplexity": "10.0"},
    ]
    lines = [header, *(",".join(one.values()) for one in rows), "40,1,5"]
    metrics.write_text("\n".join(lines))
    first, *rest = training(pyro_align.load(folder))
    assert first.count("<polyline") == 1  # without the incomplete last row, one of training
    (points,) = re.findall(r'series-1"><polyline class="line" points="(.*?)"', first)
    assert len(points.split()) == 2
    assert not rest
    metrics.unlink()
    assert training(pyro_align.load(folder)) == []


def test_the_page_lists_notable_sentences(run, whole):
    text = report_page(run, whole)
    for heading in (
        "The run",
        "Training",
        "Calibration",
        "Notable sentence pairs",
        "All sentence pairs",
    ):
        assert f"<h2>{heading}" in text
    ranked = certainty(whole)
    least = text[text.index("Least certain") : text.index("Most certain")]
    numbers = [int(number) for number in re.findall(r'data-sentence="(\d+)"', least)]
    assert numbers == [index for index, _ in ranked[::-1][:6]]
    assert f"{ranked[-1][1]:.3f}" in least
    found = disagreements(whole, "prior", "posterior", most=16)
    disagree = text[text.index("Largest disagreements") : text.index("<h2>All")]
    numbers = [int(number) for number in re.findall(r'data-sentence="(\d+)"', disagree)]
    assert numbers == [one.sentence for one in found]
    assert report_page(run, whole) == text


def test_without_gold_there_is_no_calibration(run):
    text = report_page(run, run.posterior(["ein"], ["a"]))
    assert "Calibration" not in text
    assert "per piece" in text


def test_the_report_is_written_atomically(tmp_path, run, whole):
    path = tmp_path / "report.html"
    write_report(run, whole, path)
    assert path.read_text(encoding="utf-8") == report_page(run, whole)
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        write_report(run, whole, tmp_path / "folder")
    assert {one.name for one in tmp_path.iterdir()} == {"report.html", "folder"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_in_a_browser(tmp_path, run, whole, theme):
    path = tmp_path / "report.html"
    write_report(run, whole, path)
    with chromium() as browser, opened(browser, path, color_scheme=theme) as tab:
        tab.wait_for_selector(READY)
        assert tab.locator(f"{VIEW} .frame").get_attribute("data-theme") == theme
        button = tab.locator("button.go").nth(3)
        wanted = button.get_attribute("data-sentence")
        button.click()
        tab.wait_for_selector(f"{VIEW}[data-sentence='{wanted}']")
        labels = tab.locator(VIEW).locator(".row").all_text_contents()
        assert tuple(labels) == whole[int(wanted)].target
        assert tab.locator("figure svg").count() == 4
        width = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert tab.evaluate(width)
        tab.set_viewport_size({"width": 400, "height": 800})
        assert tab.evaluate(width)
