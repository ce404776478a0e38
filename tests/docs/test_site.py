"""The site of docs/: built without warnings, complete, and without requests to other hosts."""

import functools
import html.parser
import http.server
import importlib
import os
import re
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from browser import chromium
from pages import DOCS, PAGES, ROOT

from pyro_align.cli import COMMANDS

PACKAGE = ROOT / "pyro_align"
MODULES = sorted(path.stem for path in PACKAGE.glob("[a-z]*.py"))
PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    for name in ("mkdocs", "material", "mkdocstrings", "mkdocs_click", "latex2mathml"):
        pytest.importorskip(name, reason="the site is not built: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def documented(site):
    """Names documented in the reference."""
    _, _, packed = (site / "objects.inv").read_bytes().partition(b"zlib.\n")
    lines = zlib.decompress(packed).decode().splitlines()
    return {line.partition(" py:")[0] for line in lines}


def texts(site):
    """Built pages by their path."""
    return {
        str(path.relative_to(site)): path.read_text(encoding="utf-8")
        for path in site.rglob("*.html")
    }


def test_every_page_is_built_and_can_be_reached(site):
    start = (site / "index.html").read_text(encoding="utf-8")
    for page in PAGES:
        place = page.path.relative_to(DOCS).with_suffix(".html")
        assert (site / place).is_file()
        assert f'href="{place}"' in start


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_in_the_reference(documented, name):
    assert f"pyro_align.{name}" in documented


@pytest.mark.parametrize("name", [name for name in PACKAGES if name != "cli"])
def test_every_public_name_is_in_the_reference(documented, name):
    public = importlib.import_module(f"pyro_align.{name}").__all__
    for each in public:
        # If a function has the name of its module, the module comes before it.
        paths = {f"pyro_align.{name}.{each}", f"pyro_align.{name}.{each}.{each}"}
        assert paths & documented, each


def test_roles_of_docstrings_are_links(site):
    page = (site / "reference" / "posterior.html").read_text(encoding="utf-8")
    link = r'<a [^>]*href="#pyro_align\.posterior\.SentencePosterior\.to_words"'
    assert re.search(link, page)
    for place, text in texts(site).items():
        assert not re.search(r":(class|func|meth|mod|data|attr|exc):", text), place
        assert "<autoref" not in text, place


@pytest.mark.parametrize(
    ("place", "link"),
    [
        ("index.html", "reference/data.html#pyro_align.data.batch.Batch"),
        (
            "how-to/look-at-posteriors.html",
            "../reference/posterior.html#pyro_align.posterior.AlignmentPosterior.to_frame",
        ),
        (
            "objectives/rws.html",
            "../reference/inference.html#pyro_align.inference.importance.Draws",
        ),
    ],
)
def test_names_in_code_link_to_the_reference(site, place, link):
    assert f'href="{link}"' in (site / place).read_text(encoding="utf-8")


def test_every_command_has_its_help(site):
    page = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f'id="pyro-align-{name}"' in page
        assert re.search(rf"pyro-align {name} (\[OPTIONS\]|COMMAND)", page), name


def test_examples_in_the_help_are_code(site):
    page = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"<pre>.*?</pre>", page, flags=re.DOTALL))
    assert "pyro-align align --train in.de in.en" in re.sub(r"<[^>]+>", "", code)


def test_every_formula_is_mathml(site):
    for page in PAGES:
        text = (site / page.path.relative_to(DOCS).with_suffix(".html")).read_text("utf-8")
        assert text.count('display="block"') == len(page.equations), page.path
        assert text.count('display="inline"') == len(page.inline), page.path
        assert "arithmatex" not in text
        assert not re.search(r"mathvariant=\"(?!normal\")", text)  # browsers support no other value
        numbers = re.findall(r'<span class="number">\((\d+)\)</span>', text)
        assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
        assert len(numbers) == len(page.equations)


class Resources(html.parser.HTMLParser):
    """URLs that a page requests when it is opened."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source") and "src" in given:
            self.found.append(given["src"])
        if tag == "link" and given.get("rel") != "canonical":
            self.found.append(given["href"])


def test_pages_request_only_files_of_the_site(site):
    for place, text in texts(site).items():
        if place == "404.html":  # is served at any path, so its links start at the root
            continue
        for resource in Resources(text).found:
            assert "//" not in resource, (place, resource)
            assert ((site / place).parent / resource.partition("?")[0]).is_file(), (place, resource)
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style


@pytest.fixture
def address(site):
    """The site on a port of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_in_a_browser(address):
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 1300, "height": 900})
        troubles = []
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("console", lambda one: one.type == "error" and troubles.append(one.text))
        tab.on(
            "request",
            lambda request: (
                None if request.url.startswith((address, "data:")) else troubles.append(request.url)
            ),
        )
        for place in ("index.html", "gallery.html", "reference/posterior.html"):
            tab.goto(f"{address}/{place}", wait_until="networkidle")
        tab.goto(f"{address}/objectives/vimco.html", wait_until="networkidle")
        boxes = tab.locator("math").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().height)"
        )
        assert len(boxes) > 10
        assert min(boxes) > 5
        assert not troubles


def test_the_gallery_shows_the_pictures_of_the_script():
    script = (DOCS / "site" / "pictures.py").read_text(encoding="utf-8")
    shown = set(re.findall(r"\(images/([\w.-]+)\)", (DOCS / "gallery.md").read_text("utf-8")))
    assert shown == {path.name for path in (DOCS / "images").iterdir()}
    for name in shown:
        assert re.search(rf'"{Path(name).stem}(\.png)?"', script), name
