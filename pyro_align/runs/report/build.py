"""Build the report: the run, its training, notable posteriors, and a view of all posteriors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np

from pyro_align.evaluation.quantities import QUANTITIES
from pyro_align.files import atomic_write
from pyro_align.posterior import AlignmentPosterior
from pyro_align.posterior.html import page, render
from pyro_align.posterior.sentence import SENTENCE_END
from pyro_align.runs.display import facts, results
from pyro_align.runs.report.charts import Axis, Series, chart
from pyro_align.runs.report.curves import training
from pyro_align.runs.report.findings import Disagreement, certainty, disagreements
from pyro_align.runs.run import Run

NAMES = {"prior": "prior", "guide": "guide", "posterior": "exact posterior"}
"""Labels of the kinds of distributions."""

_LISTED = 8
"""Maximum number of rows in a list of sentences or tokens."""


def write_report(run: Run, posterior: AlignmentPosterior, path: Path) -> None:
    """Write :func:`report_page` to a file.

    Raises:
        OutputError: if the file cannot be written.
        RunError: if a file of the run is damaged.
    """
    content = report_page(run, posterior)
    with atomic_write(path, "t") as file:
        file.write(content)


def report_page(run: Run, posterior: AlignmentPosterior) -> str:
    """Return a self-contained HTML page about a run and the posteriors of a text.

    Args:
        run: a fitted run.
        posterior: posteriors of this run for at least one sentence pair.

    Raises:
        RunError: if a file of the run is damaged.
    """
    unit = posterior.units.removesuffix("s")
    parts = [
        "<h2>The run</h2>",
        f'<div class="columns">{_table(facts(run))}<div>'
        f"{_table(results(run), 'Evaluation results stored in the run')}"
        f"{_table(_means(posterior), f'On this text, {len(posterior)} sentence pairs')}"
        "</div></div>",
        *_section("Training", training(run)),
        *_section("Calibration against the gold links", _calibration(posterior)),
        "<h2>Notable sentence pairs</h2>",
        '<p class="quiet">Click the number of a sentence pair to show it in the view below.</p>',
        '<div class="columns">',
        *_certain(posterior, unit),
        "</div>",
        *_disagreeing(posterior, unit),
        "<h2>All sentence pairs</h2>",
        render(posterior),
    ]
    return page(posterior.title, parts)


def _section(heading: str, parts: Sequence[str]) -> list[str]:
    """A section with parts side by side; empty if there are none."""
    if not parts:
        return []
    return [f"<h2>{heading}</h2>", '<div class="columns">', *parts, "</div>"]


def _table(rows: Sequence[tuple[str, str]], caption: str = "") -> str:
    """A table of names and values."""
    if not rows:
        return ""
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td><bdi>{escape(value)}</bdi></td></tr>'
        for name, value in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<tbody>{body}</tbody></table>"


def _listing(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are HTML and whose last column holds numbers."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns[:-1])
    body = "".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in row[:-1])}"
        f'<td class="number">{row[-1]}</td></tr>'
        for row in rows
    )
    return (
        f'<div class="scrolled"><table><caption>{escape(caption)}</caption><thead><tr>{head}'
        f'<th scope="col" class="number">{escape(columns[-1])}</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _means(posterior: AlignmentPosterior) -> list[tuple[str, str]]:
    """Mean values over the target tokens of the text."""
    unit = posterior.units.removesuffix("s")
    tokens = sum(len(sentence.target) for sentence in posterior)
    rows = [(f"target {posterior.units}, including sentence ends", str(tokens))]
    for name in (
        "log_evidence",
        "elbo",
        "kl",
        "gap",
        "prior_entropy",
        "guide_entropy",
        "posterior_entropy",
    ):
        quantity = QUANTITIES[name]
        values = [getattr(sentence, name) for sentence in posterior]
        if all(value is not None for value in values):
            mean = np.concatenate(values).mean()
            rows.append((f"{quantity.label}, nats per {unit}", f"{mean:.{quantity.digits}f}"))
    return rows


def _calibration(posterior: AlignmentPosterior) -> list[str]:
    if all(sentence.gold is None for sentence in posterior):
        return []
    tables = {kind: posterior.calibration(kind).dropna() for kind in posterior.kinds}
    lines = [
        Series(NAMES[kind], list(zip(one["confidence"], one["accuracy"], strict=True)), dots=True)
        for kind, one in tables.items()
    ]
    measured = [QUANTITIES[name] for name in ("confidence", "accuracy", "calibration_error")]
    rows = []
    for kind, one in tables.items():
        confidence, accuracy = (
            np.average(one[column], weights=one["tokens"]) for column in ("confidence", "accuracy")
        )
        error = posterior.calibration_error(kind)
        values = zip(measured, (confidence, accuracy, error), strict=True)
        rows.append((NAMES[kind], *(f"{value:.{one.digits}f}" for one, value in values)))
    columns = ("", *(one.label for one in measured))
    count = int(tables["prior"]["tokens"].sum())
    caption = f"Best alignments of the {count} target {posterior.units} with gold links"
    note = (
        "The best alignment of a token is correct if it is a sure or possible link, or the "
        "source's sentence end for a token without links. On the dashed line the accuracy equals "
        "the probability; below it the distribution is overconfident. The calibration error is the "
        "mean distance from the line over ten bins of probability."
    )
    axes = Axis("probability of the best alignment", 0, 1), Axis(QUANTITIES["accuracy"].label, 0, 1)
    return [
        f"<figure>{chart(lines, *axes, ideal=True)}</figure>",
        f'<div>{_listing(caption, columns, rows)}<p class="quiet">{note}</p></div>',
    ]


def _certain(posterior: AlignmentPosterior, unit: str) -> Iterator[str]:
    ranked = certainty(posterior)
    most = min(_LISTED, (len(ranked) + 1) // 2)
    columns = ("pair", "source", f"nats per {unit}")
    for caption, chosen in (
        ("Least certain sentence pairs, by mean entropy", ranked[::-1][:most]),
        ("Most certain sentence pairs, by mean entropy", ranked[:most]),
    ):
        rows = [
            (_button(index), _text(posterior, index), f"{entropy:.3f}") for index, entropy in chosen
        ]
        yield _listing(caption, columns, rows)


def _disagreeing(posterior: AlignmentPosterior, unit: str) -> Iterator[str]:
    if len(posterior.kinds) < 2:
        return
    before, after = "prior", posterior.kinds[-1]
    columns = ("pair", f"target {unit}", f"best by {before}", f"best by {NAMES[after]}", "distance")
    rows = [
        _disagreement(posterior, found, before, after)
        for found in disagreements(posterior, before, after, most=2 * _LISTED)
    ]
    caption = f"Largest disagreements between {before} and {NAMES[after]}, by total variation"
    yield _listing(caption, columns, rows)


def _disagreement(
    posterior: AlignmentPosterior, found: Disagreement, before: str, after: str
) -> tuple[str, ...]:
    sentence = posterior[found.sentence]

    def says(kind: str, source: int) -> str:
        value = f"{sentence.matrix(kind)[found.target, source]:.3f}"
        return f'{_token(sentence.source[source])} <span class="quiet">{value}</span>'

    return (
        _button(found.sentence),
        _token(sentence.target[found.target]),
        says(before, found.before),
        says(after, found.after),
        f"{found.distance:.3f}",
    )


def _button(index: int) -> str:
    return (
        f'<button class="go" type="button" data-sentence="{index}" '
        f'aria-label="show sentence pair {index + 1}">{index + 1}</button>'
    )


def _text(posterior: AlignmentPosterior, index: int) -> str:
    tokens = posterior[index].source
    tokens = tokens[:-1] if tokens[-1:] == (SENTENCE_END,) else tokens
    if posterior.units == "words":
        return _token(" ".join(tokens))
    return _token("".join(tokens).replace("▁", " ").strip())


def _token(text: str) -> str:
    return f'<bdi dir="auto">{escape(text)}</bdi>'
