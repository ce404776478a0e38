"""What an evaluation found, and how it shows itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pyro_align.metrics import AlignmentErrorRate, TranslationScores

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass
class PositionMeans:
    """Means over target tokens, in nats a token; None where the programs do not have it.

    Attributes:
        tokens: number of target tokens, the sentence ends counted.
        latent: whether there are latent alignments; false for soft attention.
        estimated: whether evidence and bound are estimates, from draws of alignments that cannot be
            enumerated; see :class:`~pyro_align.posterior.SimplexScores`.
        log_evidence: log ``p(y_t | x, y_<t)``, alignments marginalised out.
        elbo: evidence lower bound.
        kl: divergence of the guide from the prior.
        gap: divergence of the guide from the exact posterior.
        prior_entropy: entropy of the prior (of the attention, for soft attention).
        posterior_entropy: entropy of the exact posterior.
    """

    tokens: int = 0
    latent: bool = True
    estimated: bool = False
    log_evidence: float = 0.0
    elbo: float | None = None
    kl: float | None = None
    gap: float | None = None
    prior_entropy: float | None = None
    posterior_entropy: float | None = None

    @property
    def perplexity(self) -> float:
        """Perplexity a token (of the target vocabulary's pieces)."""
        return math.exp(-self.log_evidence)


class Measure(NamedTuple):
    """A line of an evaluation's table.

    Attributes:
        name: what was measured.
        value: what it came to.
        digits: how many of them to show behind the point.
        note: unit, signature or interval.
    """

    name: str
    value: float
    digits: int
    note: str


@dataclass
class Evaluation:
    """What one evaluation found. In a notebook it shows itself as a table.

    Attributes:
        sentences: number of sentence pairs.
        positions: means over target tokens.
        error_rates: alignment error rate by what the links were read from: ``posterior``,
            ``guide``, ``prior`` (for soft attention, its attention weights).
        translation: scores of the translations, if there were any.
    """

    sentences: int
    positions: PositionMeans
    error_rates: dict[str, AlignmentErrorRate] = field(default_factory=dict)
    translation: TranslationScores | None = None

    def measures(self) -> list[Measure]:
        """What was measured, in the order it is shown; what was not is left out."""
        means, unit = self.positions, "nats a piece"
        prior = "prior" if means.latent else "attention"
        if means.estimated:
            kind, note = (
                "perplexity",
                "per target piece, estimated from draws; too high if anything",
            )
        else:
            summed = ", alignments summed out" if means.latent else ""
            kind, note = "exact perplexity", f"per target piece{summed}"
        found: list[tuple[str, float | None, int, str]] = [
            (kind, means.perplexity, 3, note),
            ("log evidence", means.log_evidence, 4, unit),
            ("ELBO", means.elbo, 4, unit),
            ("KL(guide ‖ prior)", means.kl, 4, unit),
            ("KL(guide ‖ exact posterior)", means.gap, 4, f"{unit}: log evidence − ELBO"),
            (f"entropy of the {prior}", means.prior_entropy, 4, unit),
            ("entropy of the exact posterior", means.posterior_entropy, 4, unit),
        ]
        if (scores := self.translation) is not None:
            found.append(("BLEU", scores.bleu, 2, scores.bleu_signature))
            found.append(("chrF", scores.chrf, 2, scores.chrf_signature))
        for name, rate in self.error_rates.items():
            low, high = rate.interval()
            note = (
                f"95 % within {low:.4f} and {high:.4f}, precision {rate.precision:.3f}, "
                f"recall {rate.recall:.3f}"
            )
            source = prior if name == "prior" else name
            found.append((f"AER of the {source}", rate.error_rate, 4, note))
        found.append(("sentence pairs", self.sentences, 0, f"{means.tokens} target pieces"))
        return [
            Measure(name, value, digits, note)
            for name, value, digits, note in found
            if value is not None
        ]

    def to_frame(self) -> DataFrame:
        """A table with one row a measure, called by its name: ``value`` and ``note``."""
        import pandas as pd

        rows = [(one.name, one.value, one.note) for one in self.measures()]
        return pd.DataFrame(rows, columns=["measure", "value", "note"]).set_index("measure")

    def _repr_html_(self) -> str:
        frame = self.to_frame().rename_axis(None)
        frame["value"] = [f"{one.value:.{one.digits}f}" for one in self.measures()]
        return frame.to_html()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; what was not measured is left out."""
        means = {name: value for name, value in vars(self.positions).items() if value is not None}
        result: dict[str, Any] = {
            "sentences": self.sentences,
            "perplexity": self.positions.perplexity,
            **means,
        }
        if self.translation is not None:
            result.update(vars(self.translation))
        if self.error_rates:
            result["alignment"] = {name: rate.to_dict() for name, rate in self.error_rates.items()}
        return result
