"""Results of an evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pyro_align.evaluation import AlignmentErrorRate, TranslationScores

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass
class PositionMeans:
    """Means in nats per target token; None if model or guide do not define the quantity.

    Attributes:
        tokens: number of target tokens, including sentence ends.
        latent: whether there are latent alignments; false for soft attention.
        estimated: whether evidence and bound are estimated from samples, for alignments that cannot
            be enumerated; see :class:`~pyro_align.inference.SimplexScores`.
        log_evidence: ``log p(y_t | x, y_<t)``, with alignments marginalised out.
        elbo: evidence lower bound.
        kl: KL divergence of the guide from the prior.
        gap: KL divergence of the guide from the exact posterior.
        prior_entropy: entropy of the prior (of the attention weights, for soft attention).
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
        """Perplexity per target token (subword)."""
        return math.exp(-self.log_evidence)


class Measure(NamedTuple):
    """A row of the table of an evaluation.

    Attributes:
        name: name of the quantity.
        value: its value.
        digits: number of decimals to show.
        note: unit, signature or interval.
    """

    name: str
    value: float
    digits: int
    note: str


@dataclass
class Evaluation:
    """Results of an evaluation, displayed as a table in notebooks.

    Attributes:
        sentences: number of sentence pairs.
        positions: means over target tokens.
        error_rates: alignment error rate by the distribution that the links are decoded from:
            ``posterior``, ``guide``, ``prior`` (for soft attention, the attention weights).
        translation: scores of the translations, if any.
    """

    sentences: int
    positions: PositionMeans
    error_rates: dict[str, AlignmentErrorRate] = field(default_factory=dict)
    translation: TranslationScores | None = None

    def measures(self) -> list[Measure]:
        """Return the rows of the table in order, without quantities that were not measured."""
        means, unit = self.positions, "nats per token"
        prior = "prior" if means.latent else "attention"
        if means.estimated:
            kind, note = (
                "perplexity",
                "per target token, estimated from samples; an upper bound",
            )
        else:
            summed = ", alignments summed out" if means.latent else ""
            kind, note = "exact perplexity", f"per target token{summed}"
        found: list[tuple[str, float | None, int, str]] = [
            (kind, means.perplexity, 3, note),
            ("log evidence", means.log_evidence, 4, unit),
            ("ELBO", means.elbo, 4, unit),
            ("KL(guide ‖ prior)", means.kl, 4, unit),
            ("KL(guide ‖ exact posterior)", means.gap, 4, "log evidence − ELBO (nats/token)"),
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
        found.append(("sentence pairs", self.sentences, 0, f"{means.tokens} target tokens"))
        return [
            Measure(name, value, digits, note)
            for name, value, digits, note in found
            if value is not None
        ]

    def to_frame(self) -> DataFrame:
        """Return a table with one row per quantity and the columns ``value`` and ``note``."""
        import pandas as pd

        rows = [(one.name, one.value, one.note) for one in self.measures()]
        return pd.DataFrame(rows, columns=["measure", "value", "note"]).set_index("measure")

    def _repr_html_(self) -> str:
        frame = self.to_frame().rename_axis(None)
        frame["value"] = [f"{one.value:.{one.digits}f}" for one in self.measures()]
        return frame.to_html()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without quantities that were not measured."""
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
