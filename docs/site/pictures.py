"""Create the figures of the gallery: ``python docs/site/pictures.py`` (needs a browser).

Fits the built-in corpus with the categorical and the Dirichlet model and the built-in scenes into a
temporary folder, and writes to ``docs/images``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from pyro_align.config import Config, recipe
from pyro_align.data.batch import TextBatch
from pyro_align.evaluation.diagnosis import diagnose, write_figure
from pyro_align.posterior.answers.html import render as render_answers
from pyro_align.posterior.html import page, render
from pyro_align.runs import Run
from pyro_align.runs.report import write_report

IMAGES = Path(__file__).parents[1] / "images"
EPOCHS = 4
QUESTIONS = "categorical with corrected-prior"
SENTENCE = 2
"""Index of the test sentence that the figures show."""


def fitted(folder: Path, *settings: str) -> Run:
    """A run on the built-in corpus."""
    config = Config.load(recipe("demo"), [f"training.epochs={EPOCHS}", *settings])
    return Run.create(config, folder).fit()


@contextmanager
def tab(file: Path, theme: str, height: int, scale: float) -> Iterator[Any]:
    """Open a file in a browser."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        opened = browser.new_page(
            viewport={"width": 1000, "height": height},
            color_scheme=theme,
            device_scale_factor=scale,
        )
        opened.goto(file.as_uri())
        opened.wait_for_selector("[data-pyro-align][data-sentence]")
        yield opened
        browser.close()


def view(
    posterior: Any, folder: Path, name: str, *, theme: str, kind: str, cell: tuple[int, int]
) -> None:
    """Take a screenshot of the interactive view with the pointer on a cell (row, column)."""
    file = folder / "view.html"
    file.write_text(page(name, [render(posterior)]), encoding="utf-8")
    with tab(file, theme, 900, 1.5) as opened:
        found = opened.locator("[data-pyro-align]")
        found.locator(f"input[value='{kind}']").check(force=True)
        side = found.locator(".cursor").evaluate("one => one.parentNode.clientWidth")
        columns = len(posterior[0].source)
        row, column = cell
        place = {"x": side * (column + 0.5) / columns, "y": side * (row + 0.5) / columns}
        found.locator(".matrix").hover(position=place)
        found.screenshot(path=IMAGES / f"{name}.png")


def answers(run: Run, folder: Path) -> None:
    """Draw the question about a gold region whose answer says most about it."""
    posterior = run.posterior(run.test_pairs(200), title=QUESTIONS)
    number = next(n for n in posterior.order("divergence") if posterior[n].question.regions)
    one = posterior[number : number + 1]
    one.plot(0, path=IMAGES / "regions.png")
    file = folder / "questions.html"
    file.write_text(page("questions", [render_answers(one)]), encoding="utf-8")
    with tab(file, "light", 900, 1.5) as opened:
        found = opened.locator("[data-pyro-align]")
        found.locator(".stage").focus()
        found.screenshot(path=IMAGES / "question.png")


def main() -> None:
    """Fit the models and write the figures."""
    IMAGES.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp())
    run = fitted(folder / "demo")
    pairs = run.test_pairs(200)
    posterior = run.posterior(
        pairs.sources,
        pairs.targets,
        gold=pairs.gold,
        words=True,
        title=f"{run.config.model.name} with {run.config.guide.name}",
    )
    one = posterior[SENTENCE : SENTENCE + 1]
    one.plot(0, path=IMAGES / "heatmaps.png")
    view(one, folder, "view", theme="light", kind="posterior", cell=(3, 3))
    view(one, folder, "difference", theme="dark", kind="posterior-prior", cell=(3, 3))
    write_report(run, posterior, folder / "report.html")
    with tab(folder / "report.html", "light", 1750, 1.0) as opened:
        opened.screenshot(path=IMAGES / "report.png")
    batch = TextBatch.from_ids(
        run.source_vocabulary.encode_all(pairs.sources[:8]),
        run.target_vocabulary.encode_all(pairs.targets[:8]),
    )
    write_figure(diagnose(run.model, run.guide, batch, repeats=32), IMAGES / "noise.png")
    simplex = fitted(
        folder / "simplex", "model.name=dirichlet", "guide.name=auto", "objective.name=auto"
    )
    found = simplex.posterior(
        pairs.sources[SENTENCE : SENTENCE + 1],
        pairs.targets[SENTENCE : SENTENCE + 1],
        title="dirichlet with amortized-dirichlet",
    )
    view(found, folder, "dirichlet", theme="light", kind="guide", cell=(3, 2))
    scenes = Config.load(recipe("scenes"), [f"training.epochs={EPOCHS}"])
    answers(Run.create(scenes, folder / "scenes").fit(), folder)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
