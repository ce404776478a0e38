"""Kinds of latent sites, which models and guides declare in ``latents``.

Importing this module imports neither torch nor Pyro.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

Latent = Literal["categorical", "markov", "simplex", "relaxed", "gaussian", "spherical"]
"""Kind of a latent site: a Categorical, a Markov chain, a distribution on the simplex or a
continuous relaxation of a Categorical, each over the source positions; or a Gaussian, or a point
of the unit sphere."""

SENTENCE_KINDS: frozenset[Latent] = frozenset({"gaussian", "spherical", "markov"})
"""Kinds of the sites of a whole sentence, which lie in the plate ``sentences`` alone. Sites of the
other kinds are alignments of a target position, in the plates ``sentences`` and ``positions``. A
Markov chain is the path of all alignments of a sentence."""

AlignmentKind = Latent | Literal["none"]
"""Kind of the site ``alignment``; ``none`` if there is no such site."""


def alignment_kind(latents: Mapping[str, Latent]) -> AlignmentKind:
    """Return the kind of the site ``alignment`` among the latent sites of a program."""
    return latents.get("alignment", "none")


OtherSites = Literal["both", "some", "none", "model"]
"""Where an objective accepts latent sites other than the alignment: the same in model and guide, if
any; the same, and at least one; none at all; or in the model alone, on the whole real line."""


def go_together(
    model: Mapping[str, Latent] | None,
    guide: Mapping[str, Latent] | None,
    pairs: Collection[tuple[AlignmentKind, AlignmentKind]],
    others: OtherSites = "both",
) -> bool:
    """Return whether a guide infers the latent sites of a model in a way that an objective accepts.

    Args:
        model: latent sites of the model; None if they are not declared.
        guide: latent sites of the guide; None if they are not declared.
        pairs: kinds of the alignment that the objective accepts, as pairs (model, guide).
        others: where the objective accepts other latent sites.
    """
    if model is None or guide is None:
        return False
    pair = alignment_kind(model), alignment_kind(guide)
    of_model, of_guide = other_sites(model), other_sites(guide)
    accepted = {
        "both": of_model == of_guide,
        "some": of_model == of_guide and bool(of_model),
        "none": not (of_model or of_guide),
        "model": not of_guide and {*of_model.values()} <= {"gaussian"},
    }
    return pair in pairs and accepted[others]


def other_sites(latents: Mapping[str, Latent]) -> dict[str, Latent]:
    """Return the latent sites of a program except ``alignment``."""
    return {name: kind for name, kind in latents.items() if name != "alignment"}
