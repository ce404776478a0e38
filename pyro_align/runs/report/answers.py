"""The part of a report about answers: calibration, notable questions, a view of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pyro_align.posterior import AnswerPosterior, QuestionPosterior
from pyro_align.posterior.answers.answer_posterior import ORDERS
from pyro_align.posterior.answers.html import render
from pyro_align.runs.report.alignments import calibration, mean_quantities
from pyro_align.runs.report.tables import LISTED, NAMES, button, listing, section, token


def sections(posterior: AnswerPosterior) -> list[str]:
    """Return the parts of the page about the questions."""
    meaning = "The most probable region of a question is correct if it is a gold region."
    counted = "questions with gold regions"
    return [
        *section(
            "Calibration against the gold regions",
            calibration(posterior.alignments, counted, meaning),
        ),
        "<h2>Notable questions</h2>",
        '<p class="quiet">Click the number of a question to show it in the view below.</p>',
        '<div class="columns">',
        *_notable(posterior),
        "</div>",
        *_moved(posterior),
        "<h2>All questions</h2>",
        render(posterior),
    ]


def means(posterior: AnswerPosterior) -> list[tuple[str, str]]:
    """Return mean values over the questions."""
    known = [one.is_correct for one in posterior if one.is_correct is not None]
    rows = []
    if known:
        rows = [
            ("questions with a correct answer", str(len(known))),
            ("fraction of right answers", f"{np.mean(known):.4f}"),
        ]
    return rows + mean_quantities(posterior.alignments, "question")


def _notable(posterior: AnswerPosterior) -> Iterator[str]:
    def certainty(one: QuestionPosterior) -> str:
        return f"{float(one.probabilities[0]):.3f}"

    columns = ("question", "", "answer", "probability")
    for order in ("wrong", "answer"):
        if order in posterior.orders:
            yield _table(posterior, order, columns, _answer, certainty)


def _moved(posterior: AnswerPosterior) -> Iterator[str]:
    """The questions whose answer tells most about its region."""
    if "divergence" not in posterior.orders:
        return
    after = posterior.kinds[-1]

    def regions(one: QuestionPosterior) -> str:
        places = []
        for kind in ("prior", after):
            best = int(one.regions(kind).argmax())
            value = f"{float(one.regions(kind)[best]):.3f}"
            name = token(one.image.names[best])
            places.append(f'{name} <span class="quiet">{NAMES[kind]} {value}</span>')
        return " → ".join(places)

    def divergence(one: QuestionPosterior) -> str:
        return f"{one.quantity('information' if after == 'posterior' else 'kl'):.3f}"

    columns = ("question", "", "most probable region", "nats")
    yield _table(posterior, "divergence", columns, regions, divergence)


def _table(
    posterior: AnswerPosterior,
    order: str,
    columns: Sequence[str],
    text: Callable[[QuestionPosterior], str],
    number: Callable[[QuestionPosterior], str],
) -> str:
    rows = [
        (
            button(index, "question"),
            token(posterior[index].question.text),
            text(posterior[index]),
            number(posterior[index]),
        )
        for index in posterior.order(order)[:LISTED]
    ]
    return listing(ORDERS[order].capitalize(), columns, rows)


def _answer(one: QuestionPosterior) -> str:
    best = token(one.answers[0])
    if one.is_correct is not False:
        return best
    return f'{best} <span class="quiet">correct: {token(one.gold or "")}</span>'
