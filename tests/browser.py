"""What tests of pages share: a browser without a window, and posteriors to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyro_align.data import GoldLinks
from pyro_align.posterior import AlignmentPosterior, SentencePosterior
from pyro_align.posterior.sentence import entropy

NAMES = ("chromium", "chromium-browser", "google-chrome")
VIEW = "[data-pyro-align]"
READY = f"{VIEW}[data-sentence]"

HOSTILE = ("<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "&amp;", "$x$")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped with the reason where there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the page is not opened: pip install playwright"
    )
    paths = [os.environ.get("PYRO_ALIGN_BROWSER"), *map(shutil.which, NAMES)]
    path = next(filter(None, paths), None)
    if path is None:
        pytest.skip("the page is not opened, for there is no browser: apt-get install chromium")
    with playwright.sync_playwright() as started:
        try:
            browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"the page is not opened, for {path} does not start: {error}")
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, file: Path, **options: Any) -> Iterator[Any]:
    """A page of a file, which must ask for nothing else, raise no error and open no dialog."""
    viewport = {"width": 1280, "height": 900}
    page = browser.new_page(**{"viewport": viewport, **options})
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("console", lambda one: one.type == "error" and troubles.append(one.text))
    page.on("dialog", lambda dialog: (troubles.append("a dialog"), dialog.dismiss()))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith("blob:") else troubles.append(f"request: {request.url}")
        ),
    )
    page.goto(file.as_uri())
    page.wait_for_timeout(50)
    yield page
    page.close()
    assert troubles == [f"request: {file.as_uri()}"], troubles


def sentence(
    source: Sequence[str],
    target: Sequence[str],
    seed: int = 0,
    *,
    gold: GoldLinks | None = None,
    soft: bool = False,
) -> SentencePosterior:
    """Random distributions with probabilities of many sizes, and measures that belong to them."""
    generator = np.random.default_rng(seed)

    def matrix() -> np.ndarray:
        logits = 4 * generator.normal(size=(len(target), len(source)))
        weights = np.exp(logits - logits.max(1, keepdims=True))
        return (weights / weights.sum(1, keepdims=True)).astype(np.float32)

    prior, guide, posterior = matrix(), matrix(), matrix()
    evidence = -generator.gamma(1.5, size=len(target))
    rest: dict[str, Any] = {}
    if not soft:
        gap = (guide * np.log(guide / posterior)).sum(1)
        rest = {
            "guide": guide,
            "posterior": posterior,
            "elbo": evidence - gap,
            "kl": (guide * np.log(guide / prior)).sum(1),
            "gap": gap,
            "posterior_entropy": entropy(posterior),
        }
    return SentencePosterior(
        source=tuple(source),
        target=tuple(target),
        prior=prior,
        log_evidence=evidence,
        prior_entropy=entropy(prior),
        gold=gold,
        **rest,
    )


def posterior(*sentences: SentencePosterior, title: str = "a model with a guide") -> Any:
    """Of words."""
    return AlignmentPosterior(sentences, title, "words")


def words(letter: str, count: int) -> list[str]:
    """So many different words."""
    return [f"{letter}{number}" for number in range(count)]


def choose(view: Any, kind: str) -> None:
    """Switch to a kind or difference."""
    view.locator(f"input[value='{kind}']").check(force=True)


def move_to(tab: Any, view: Any, row: int, place: int) -> None:
    """Move the pointer to a cell, as it lies on the screen."""
    box = view.locator(".matrix canvas").bounding_box()
    size = view.locator(".matrix canvas").evaluate("canvas => [canvas.width, canvas.height]")
    tab.mouse.move(
        box["x"] + box["width"] * (place + 0.5) / size[0],
        box["y"] + box["height"] * (row + 0.5) / size[1],
    )


def shown(view: Any) -> tuple[list[str], dict[str, str]]:
    """Tokens and figures of the current cell."""
    tokens = view.locator(".readout bdi").all_text_contents()
    figures = view.locator(".readout .figure").evaluate_all(
        "all => all.map(one => [one.dataset.name, one.querySelector('b').textContent])"
    )
    return tokens, dict(figures)


def number(text: str) -> float:
    """A figure as it is written."""
    return float(text.replace("−", "-").replace("+", ""))


def pixels(view: Any, selector: str) -> np.ndarray:
    """Red, green and blue of a canvas, row by row."""
    data, width = view.locator(selector).evaluate(
        "one => [Array.from(one.getContext('2d').getImageData(0, 0, one.width, one.height).data),"
        " one.width]"
    )
    return np.array(data).reshape(-1, width, 4)[..., :3]
