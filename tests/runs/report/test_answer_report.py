"""The report of a run that answers questions."""

import re

import pytest
from browser import READY, VIEW, chromium, opened
from questions import one, some
from runs import shared_run

import pyro_align
from pyro_align.posterior import AnswerPosterior
from pyro_align.runs.report import report_page, write_report


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_run())


def numbers(text, caption):
    """Questions that the buttons of a table show."""
    (table,) = re.findall(rf"<caption>{caption}</caption>(.*?)</table>", text, re.DOTALL)
    return [int(number) for number in re.findall(r'data-sentence="(\d+)"', table)]


def test_notable_questions(run):
    posterior = some()
    text = report_page(run, posterior)
    for heading in ("The run", "Training", "Calibration", "Notable questions", "All questions"):
        assert f"<h2>{heading}" in text
    assert numbers(text, "Wrong answers, most certain first") == posterior.order("wrong") == [1]
    assert numbers(text, "Least certain answer") == posterior.order("answer")
    moved = numbers(text, "Largest divergence of posterior and prior")
    assert moved == posterior.order("divergence")
    assert "correct: " in text
    table = re.sub(r"<[^>]+>", " ", text)
    assert re.search(r"fraction of right answers\s+0\.5000", table)
    mean = sum(each.quantity("log_evidence") for each in posterior) / 3
    assert re.search(rf"nats per question\s+{mean:.4f}".replace(".", r"\."), table)
    assert "2 questions with gold regions" in table


def test_without_answers_and_regions(run):
    posterior = AnswerPosterior([one(gold=None, regions=frozenset())], "a model")
    text = report_page(run, posterior)
    assert "Calibration" not in text
    assert "Wrong answers" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "fraction of right answers" not in text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_in_a_browser(tmp_path, run, theme):
    path = tmp_path / "report.html"
    write_report(run, some(), path)
    with chromium() as browser, opened(browser, path, color_scheme=theme) as tab:
        tab.wait_for_selector(READY)
        assert tab.locator(f"{VIEW} .frame").get_attribute("data-theme") == theme
        tab.locator("button[data-sentence='1']").first.click()
        tab.wait_for_selector(f"{VIEW}[data-sentence='1']")
        question = tab.locator(VIEW).locator(".question bdi").first.text_content()
        assert question == "is there a cup?"
        width = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert tab.evaluate(width)
