"""Licence, citation and the page for contributors agree with the repository."""

import hashlib
import re
import tomllib

import yaml
from pages import DOCS, ROOT, Page

import pyro_align

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_licence_is_the_text_of_apache():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0"
    # The digest of https://www.apache.org/licenses/LICENSE-2.0.txt.
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_citation_has_the_current_version():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= found.keys()
    assert found["version"] == pyro_align.__version__
    assert found["license"] == PROJECT["license"]
    (paper,) = found["references"]
    assert paper["url"] in (ROOT / "README.md").read_text(encoding="utf-8")


def test_files_named_for_contributors_exist():
    page = Page(ROOT / "CONTRIBUTING.md")
    for path in re.findall(r"`((?:pyro_align|docs|tests)/[\w./]*|\w+\.(?:txt|md))`", page.text):
        assert (ROOT / path).exists(), path
    for link in page.links:
        assert (ROOT / link).is_file(), link
    assert ".ci/run" in page.text
    assert (ROOT / ".ci" / "run").is_file()


def test_the_comparison_has_the_measured_error_rates():
    """Each row of the comparison is found in the table that the benchmark writes."""
    columns = ("en-it, 1348", "en-nl, 1352", "en-it + extra, 21690", "en-nl + extra, 14047")
    names = {
        "fast_align": "fast_align",
        "eflomal": "eflomal",
        "eflomal, words cut to 4 characters": "eflomal, 4 characters",
        "`pyro-align align --train`": "pyro-align",
        "`pyro-align align --train --fast`": "pyro-align --fast",
    }
    results = (ROOT / "benchmarks" / "results" / "alignment.md").read_text(encoding="utf-8")
    page = (DOCS / "comparison.md").read_text(encoding="utf-8")
    for shown, name in names.items():
        measured = [
            re.search(
                rf"^\| {re.escape(text)} pairs \| {re.escape(name)} \| \S+ \| (\S+) ", results, re.M
            )
            for text in columns
        ]
        assert f"| {shown} | {' | '.join(found[1] for found in measured)} |" in page
