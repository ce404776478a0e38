"""Fixtures of browser tests."""

import pytest
from browser import chromium, opened

from pyro_align.posterior.html import page


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def show(browser, tmp_path):
    """Opens pieces of HTML as a page."""

    def opens(*parts, **options):
        file = tmp_path / "page.html"
        file.write_text(page("a page", parts), encoding="utf-8")
        return opened(browser, file, **options)

    return opens
