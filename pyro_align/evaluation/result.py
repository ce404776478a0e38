"""Results of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pyro_align.evaluation import (
    AlignmentErrorRate,
    FormScores,
    LatentScores,
    TranslationScores,
)
from pyro_align.evaluation.quantities import QUANTITIES, aer_label

if TYPE_CHECKING:
    from pandas import DataFrame

MEANS = ("log_evidence", "elbo", "kl", "gap", "prior_entropy", "posterior_entropy")
"""Quantities of a target position of which an evaluation and a diagnosis give the mean."""


def perplexity(log_likelihood: float, tokens: float) -> float:
    """Return ``exp`` of the negative mean; infinity instead of an overflow error.

    The perplexity of a density, such as that of an image, may be 0.
    """
    exponent = -log_likelihood / tokens
    return math.exp(exponent) if exponent < 700 else math.inf


@dataclass
class PositionMeans:
    """Means in nats per target token; None if model or guide do not define the quantity.

    Attributes:
        tokens: number of target tokens, including sentence ends.
        latent: whether there are latent alignments; false for soft attention.
        estimated: whether evidence and bound are estimated from samples, for alignments that cannot
            be enumerated or other latent sites, see :class:`~pyro_align.inference.SimplexScores`
            and :class:`~pyro_align.inference.SentenceScores`.
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
        return perplexity(self.log_evidence, 1)

    def measures(self) -> list[Measure]:
        """Return one row for each mean that was measured, in the order of the attributes."""
        found = []
        for name in MEANS:
            if (value := getattr(self, name)) is None:
                continue
            row = _measure(name, value)
            if name == "prior_entropy" and not self.latent:
                row = row._replace(name="entropy of the attention")
            if name == "gap":
                row = row._replace(note="log evidence − ELBO (nats/token)")
            found.append(row)
        return found


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


def _measure(name: str, value: float, note: str | None = None) -> Measure:
    """Return the row of a quantity; its note is the unit unless given."""
    quantity = QUANTITIES[name]
    return Measure(quantity.label, value, quantity.digits, quantity.unit if note is None else note)


@dataclass(frozen=True)
class SentenceMeans:
    """Means in nats per sentence, for models with latent variables of sentences, or without any.

    Attributes:
        draws: samples per sentence; 0 if there is nothing to sample.
        nll: negative log likelihood, estimated from the samples; an upper bound in expectation.
            Exact if there is nothing to sample.
        nll_error: its standard error as the mean of a sample of sentences.
        elbo: evidence lower bound; None without a guide.
        divergences: KL divergence of the guide from the prior by latent site.
        effective_sample_size: of the importance weights, as a fraction of ``draws``.
    """

    draws: int
    nll: float
    nll_error: float
    elbo: float | None
    divergences: Mapping[str, float]
    effective_sample_size: float

    def measures(self) -> list[Measure]:
        """Return the rows of a table."""
        nll = QUANTITIES["sentence_nll"]
        note = f"{nll.unit}, ± {self.nll_error:.{nll.digits}f}"
        if self.draws:
            note += f", {self.draws} samples"
        found = [_measure("sentence_nll", self.nll, note)]
        if self.elbo is not None:
            found.append(_measure("sentence_elbo", self.elbo))
        for name, value in self.divergences.items():
            row = _measure("sentence_kl", value)
            found.append(row._replace(name=f"{row.name}, {name}"))
        if self.draws:
            found.append(_measure("effective_sample_size", self.effective_sample_size))
        return found


FORM_RATES = ("word_error_rate", "symbol_error_rate", "mean_edit_distance", "word_accuracy")
"""Quantities of predicted word forms."""


def _measures_of_forms(scores: FormScores) -> list[Measure]:
    """Return the rows of the error rates, with intervals; then those of each language."""
    several = len(scores.words) > 1
    found = []
    for language in [None, *scores.words] if several else [None]:
        rates, (low, high) = scores.rates(language), scores.interval(language)
        names = FORM_RATES if language is None else FORM_RATES[:2]
        for name in names:
            digits = QUANTITIES[name].digits
            limits = sorted((getattr(low, name), getattr(high, name)))
            note = f"95 % within {limits[0]:.{digits}f} and {limits[1]:.{digits}f}"
            if several and language is None:
                note = f"mean of {len(scores.words)} languages, {note}"
            row = _measure(name, getattr(rates, name))
            row = row._replace(note=", ".join(filter(None, (row.note, note))))
            found.append(row if language is None else row._replace(name=f"{row.name}, {language}"))
    return found


def _measures_of_latents(scores: LatentScores) -> list[Measure]:
    """Return the rows of the latent variable of a sentence."""
    information = scores.information
    low, high = information.interval()
    unit = QUANTITIES["mutual_information"].unit
    note = f"{unit}, 95 % within {low:.2f} and {high:.2f}, at most {information.most:.2f}"
    found = [
        _measure("mutual_information", information.value, note),
        _measure("active_units", scores.active_units, f"of {scores.dimensions}"),
    ]
    if (reconstruction := scores.reconstruction) is not None:
        found += [
            _measure("exact_match", reconstruction.exact_match),
            _measure("reconstruction_bleu", reconstruction.bleu, reconstruction.signature),
        ]
    return found


@dataclass
class Evaluation:
    """Results of an evaluation, displayed as a table in notebooks.

    Attributes:
        sentences: number of sentence pairs.
        positions: means over target tokens.
        of_sentences: means over sentences, if the model has latent sites besides the alignment, or
            neither alignments nor attention.
        error_rates: alignment error rate by the distribution that the links are decoded from:
            ``posterior``, ``guide``, ``prior`` (for soft attention, the attention weights).
        translation: scores of the translations, if any.
        forms: scores of predicted word forms, if any.
        predictions: the predictions that were scored, in the order of the text.
        latents: what the latent variable of a sentence carries, if the model has one.
        unit: plural of what a pair is called.
        notes: remarks on the text, each a sentence.
    """

    sentences: int
    positions: PositionMeans
    error_rates: dict[str, AlignmentErrorRate] = field(default_factory=dict)
    translation: TranslationScores | None = None
    forms: FormScores | None = None
    predictions: list[str] = field(default_factory=list, repr=False)
    latents: LatentScores | None = None
    unit: str = "sentence pairs"
    notes: list[str] = field(default_factory=list)
    of_sentences: SentenceMeans | None = None

    def measures(self) -> list[Measure]:
        """Return the rows of the table in order, without quantities that were not measured."""
        means = self.positions
        prior = "prior" if means.latent else "attention"
        quantity = QUANTITIES["perplexity"]
        if means.estimated:
            kind, note = quantity.label, "estimated from samples; an upper bound"
        else:
            kind = f"exact {quantity.label}"
            note = "alignments summed out" if means.latent else ""
        note = ", ".join(filter(None, (quantity.unit, note)))
        found = [Measure(kind, means.perplexity, quantity.digits, note), *means.measures()]
        if self.of_sentences is not None:
            found += self.of_sentences.measures()
        if (scores := self.translation) is not None:
            found.append(_measure("bleu", scores.bleu, scores.bleu_signature))
            found.append(_measure("chrf", scores.chrf, scores.chrf_signature))
        if self.latents is not None:
            found += _measures_of_latents(self.latents)
        if self.forms is not None:
            found += _measures_of_forms(self.forms)
        for name, rate in self.error_rates.items():
            source = prior if name == "prior" else name
            aer = QUANTITIES["aer"]
            low, high = rate.interval()
            note = (
                f"95 % within {low:.{aer.digits}f} and {high:.{aer.digits}f}, "
                f"precision {rate.precision:.3f}, recall {rate.recall:.3f}"
            )
            found.append(Measure(aer_label(source), rate.error_rate, aer.digits, note))
        tokens = f"{means.tokens} target tokens"
        found.append(Measure(self.unit, self.sentences, QUANTITIES["sentences"].digits, tokens))
        return found

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
        if self.of_sentences is not None:
            result["per_sentence"] = vars(self.of_sentences)
        if self.translation is not None:
            result.update(vars(self.translation))
        if self.latents is not None:
            result |= self.latents.to_dict()
        if self.forms is not None:
            rates = self.forms.rates()
            result |= {name: getattr(rates, name) for name in FORM_RATES}
            table = self.forms.table()
            result["languages"] = {str(name): row.to_dict() for name, row in table.iterrows()}
        if self.error_rates:
            result["alignment"] = {name: rate.to_dict() for name, rate in self.error_rates.items()}
        return result
