"""Posteriors of questions made by hand, for tests of what is done with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pyro_align.data import GoldLinks, Question
from pyro_align.posterior import AnswerPosterior, Picture, QuestionPosterior, RegionImage
from pyro_align.posterior.sentence import SentencePosterior, entropy

BOXES = np.array(
    [[0.1, 0.5, 0.3, 0.9], [0.4, 0.1, 0.6, 0.3], [0.35, 0.05, 0.65, 0.4], [0.7, 0.6, 0.95, 0.8]]
)
"""The third encloses the second."""

NAMES = ("a ball", "a cup", "a table", "a car")


def drawing(width: int = 200, height: int = 100) -> Picture:
    """Coloured boxes on grey."""
    image = Image.new("RGB", (width, height), (235, 235, 235))
    pen = ImageDraw.Draw(image)
    for box, colour in zip(BOXES, ("red", "blue", "khaki", "green"), strict=True):
        pen.rectangle(tuple(box * [width, height, width, height]), fill=colour)
    pen.rectangle(tuple(BOXES[1] * [width, height, width, height]), fill="blue")
    return Picture.of(image)


def scene(picture: bool = True) -> RegionImage:
    """Four regions of a wide image."""
    return RegionImage(BOXES, NAMES, 200, 100, drawing() if picture else None)


def alignment(
    names: tuple[str, ...], answer: str, seed: int, gold: frozenset[int] = frozenset()
) -> SentencePosterior:
    """Random distributions of one region, and the quantities that belong to them."""
    random = np.random.default_rng(seed)
    prior, guide, posterior = random.dirichlet(np.full(len(names), 0.5), (3, 1)).astype(np.float32)

    def divergence(one: Any, other: Any) -> Any:
        return (one * np.log(np.maximum(one, 1e-30) / np.maximum(other, 1e-30))).sum(-1)

    evidence = -random.gamma(1.0, size=1)
    gap = divergence(guide, posterior)
    return SentencePosterior(
        source=names,
        target=(answer,),
        prior=prior,
        guide=guide,
        posterior=posterior,
        log_evidence=evidence,
        elbo=evidence - gap,
        kl=divergence(guide, prior),
        gap=gap,
        prior_gap=divergence(prior, posterior),
        information=divergence(posterior, prior),
        prior_entropy=entropy(prior),
        posterior_entropy=entropy(posterior),
        gold=GoldLinks(frozenset((region, 0) for region in gold)) if gold else None,
    )


def one(
    text: str = "what colour is the ball?",
    answers: tuple[str, ...] = ("red", "blue", "green"),
    probabilities: tuple[float, ...] = (0.7, 0.2, 0.05),
    *,
    gold: str | None = "red",
    regions: frozenset[int] = frozenset({0}),
    image: RegionImage | None = None,
    seed: int = 0,
    **changes: Any,
) -> QuestionPosterior:
    """A question about the scene."""
    image = scene() if image is None else image
    observed = answers[0] if gold is None or gold not in answers else gold
    return QuestionPosterior(
        question=Question(
            changes.pop("of", "scene.png"),
            text,
            () if gold is None else (gold,),
            regions=regions,
            **changes,
        ),
        image=image,
        answers=answers,
        probabilities=np.array(probabilities),
        alignment=alignment(image.names, observed, seed, regions),
    )


def some(title: str = "categorical with amortized") -> AnswerPosterior:
    """Three questions about one scene: answered, not answered, without an answer."""
    image = scene()
    return AnswerPosterior(
        [
            one(image=image, kind="colour", id="7"),
            one("is there a cup?", ("no", "yes"), (0.9, 0.1), gold="yes", image=image, seed=1),
            one("how many?", ("2", "3"), (0.5, 0.3), gold=None, regions=frozenset(), seed=2),
        ],
        title,
    )
