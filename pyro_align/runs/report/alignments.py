"""The part of a report about alignments: calibration, notable sentence pairs, a view of all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pyro_align.evaluation.quantities import QUANTITIES
from pyro_align.posterior import AlignmentPosterior
from pyro_align.posterior.html import render
from pyro_align.posterior.sentence import SENTENCE_END
from pyro_align.runs.report.charts import Axis, Series, chart
from pyro_align.runs.report.findings import Disagreement, certainty, disagreements
from pyro_align.runs.report.tables import LISTED, NAMES, button, listing, section, token


def sections(posterior: AlignmentPosterior, pairs: str) -> list[str]:
    """Return the parts of the page about the pairs.

    Args:
        posterior: their posteriors.
        pairs: what the pairs are called, such as ``sentence pairs``.
    """
    unit = posterior.units.removesuffix("s")
    note = (
        "The best alignment of a token is correct if it is a sure or possible link, or the "
        "source's sentence end for a token without links."
    )
    count = f"target {posterior.units} with gold links"
    return [
        *section("Calibration against the gold links", calibration(posterior, count, note)),
        f"<h2>Notable {pairs}</h2>",
        '<p class="quiet">Click the number of a pair to show it in the view below.</p>',
        '<div class="columns">',
        *_certain(posterior, unit),
        "</div>",
        *_disagreeing(posterior, unit),
        f"<h2>All {pairs}</h2>",
        render(posterior),
    ]


def means(posterior: AlignmentPosterior) -> list[tuple[str, str]]:
    """Return mean values over the target tokens of the text."""
    tokens = sum(len(sentence.target) for sentence in posterior)
    count = (f"target {posterior.units}, including sentence ends", str(tokens))
    return [count, *mean_quantities(posterior, posterior.units.removesuffix("s"))]


def mean_quantities(posterior: AlignmentPosterior, unit: str) -> list[tuple[str, str]]:
    """Return mean quantities over the target positions, which are called ``unit``."""
    rows = []
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


def calibration(posterior: AlignmentPosterior, counted: str, meaning: str) -> list[str]:
    """Return a chart and a table of the calibration; an empty list without gold links.

    Args:
        posterior: posteriors, some with gold links.
        counted: what has a best alignment, in the plural.
        meaning: a sentence that says which best alignments are correct.
    """
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
    columns = ("", *(one.heading for one in measured))
    count = int(tables["prior"]["tokens"].sum())
    caption = f"Best alignments of the {count} {counted}"
    note = (
        f"{meaning} On the dashed line the accuracy equals the probability; below it the "
        "distribution is overconfident. The calibration error is the mean distance from the line "
        "over ten bins of probability."
    )
    axes = (
        Axis("probability of the best alignment", 0, 1),
        Axis(QUANTITIES["accuracy"].heading, 0, 1),
    )
    return [
        f"<figure>{chart(lines, *axes, ideal=True)}</figure>",
        f'<div>{listing(caption, columns, rows)}<p class="quiet">{note}</p></div>',
    ]


def _certain(posterior: AlignmentPosterior, unit: str) -> Iterator[str]:
    ranked = certainty(posterior)
    most = min(LISTED, (len(ranked) + 1) // 2)
    columns = ("pair", "source", f"nats per {unit}")
    for caption, chosen in (
        ("Least certain pairs, by mean entropy", ranked[::-1][:most]),
        ("Most certain pairs, by mean entropy", ranked[:most]),
    ):
        rows = [
            (button(index, "pair"), _text(posterior, index), f"{entropy:.3f}")
            for index, entropy in chosen
        ]
        yield listing(caption, columns, rows)


def _disagreeing(posterior: AlignmentPosterior, unit: str) -> Iterator[str]:
    if len(posterior.kinds) < 2:
        return
    before, after = "prior", posterior.kinds[-1]
    columns = ("pair", f"target {unit}", f"best by {before}", f"best by {NAMES[after]}", "distance")
    rows = [
        _disagreement(posterior, found, before, after)
        for found in disagreements(posterior, before, after, most=2 * LISTED)
    ]
    caption = f"Largest disagreements between {before} and {NAMES[after]}, by total variation"
    yield listing(caption, columns, rows)


def _disagreement(
    posterior: AlignmentPosterior, found: Disagreement, before: str, after: str
) -> tuple[str, ...]:
    sentence = posterior[found.sentence]

    def says(kind: str, source: int) -> str:
        value = f"{sentence.matrix(kind)[found.target, source]:.3f}"
        return f'{token(sentence.source[source])} <span class="quiet">{value}</span>'

    return (
        button(found.sentence, "pair"),
        token(sentence.target[found.target]),
        says(before, found.before),
        says(after, found.after),
        f"{found.distance:.3f}",
    )


def _text(posterior: AlignmentPosterior, index: int) -> str:
    tokens = posterior[index].source
    tokens = tokens[:-1] if tokens[-1:] == (SENTENCE_END,) else tokens
    if posterior.units == "words":
        return token(" ".join(tokens))
    return token("".join(tokens).replace("▁", " ").strip())
