"""Interactive view of posteriors of answers as self-contained HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from pyro_align.posterior.answers.region_image import RegionImage
from pyro_align.posterior.html import asset, packed, widget

if TYPE_CHECKING:
    from pyro_align.posterior.answers.answer_posterior import AnswerPosterior
    from pyro_align.posterior.answers.question import QuestionPosterior

_STATIC = 24
"""Maximum number of regions in the table that replaces the view if scripts do not run."""


def render(posterior: AnswerPosterior, *, title: str | None = None) -> str:
    """Return the view as an HTML element for a notebook or page.

    See :func:`pyro_align.posterior.html.render`. Each image is embedded once.

    Args:
        posterior: posteriors to display.
        title: title above the view; None for the title of the posterior.
    """
    from pyro_align.posterior.answers.answer_posterior import ORDERS

    heading = posterior.title if title is None else title
    if not len(posterior):
        return f"<p>{escape(heading)}: no questions</p>"
    images: dict[int, RegionImage] = {}
    for one in posterior:
        images.setdefault(id(one.image), one.image)
    numbers = {key: number for number, key in enumerate(images)}
    data = packed(posterior.alignments)
    for one, question in zip(posterior, data["sentences"], strict=True):
        question.update(_question(one), image=numbers[id(one.image)])
    data |= {
        "title": heading,
        "style": asset("view.css") + asset("answers.css"),
        "images": [_image(image) for image in images.values()],
        "orders": [(name, ORDERS[name], posterior.order(name)) for name in posterior.orders],
    }
    return widget("answers", ("answers.js",), _static(posterior, heading), data)


def _question(one: QuestionPosterior) -> dict[str, Any]:
    given = one.question.answers
    return {
        "text": one.question.text,
        "id": one.question.id,
        "kind": one.question.kind,
        "answer": one.gold,
        "given": {answer: given.count(answer) for answer in one.answers if answer in given},
        "answers": [
            (answer, float(f"{probability:.4g}"))
            for answer, probability in zip(one.answers, one.probabilities, strict=True)
        ],
    }


def _image(image: RegionImage) -> dict[str, Any]:
    picture = {} if image.picture is None else {"url": image.picture.url}
    boxes = [[round(edge, 4) for edge in box] for box in image.boxes.tolist()]
    return {"width": image.width, "height": image.height, "boxes": boxes, **picture}


def _static(posterior: AnswerPosterior, title: str) -> str:
    """Return a table of the first question, displayed if scripts do not run."""
    one = posterior[0]
    heads = "".join(f"<th>{name}</th>" for name in ("region", *one.kinds))
    rows = "".join(
        _row(name, [float(one.regions(kind)[region]) for kind in one.kinds])
        for region, name in enumerate(one.image.names[:_STATIC])
    )
    return (
        f"<p><b>{escape(title)}</b>: question 1 of {len(posterior)}: "
        f"{escape(one.question.text)} {escape(one.answers[0])} "
        f"({float(one.probabilities[0]):.3f}). The interactive view needs scripts: trust the "
        "notebook, or open it in JupyterLab, VS Code or a browser.</p>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _row(name: str, probabilities: Iterable[float]) -> str:
    cells = "".join(f"<td>{probability:.3f}</td>" for probability in probabilities)
    return f'<tr><th><bdi dir="auto">{escape(name)}</bdi></th>{cells}</tr>'
