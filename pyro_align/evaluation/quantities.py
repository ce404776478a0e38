"""Names, labels and units of all quantities that are measured, logged, compared or reported.

Imports nothing but the standard library: the command line reads the table before torch is needed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NATS = "nats per target token"
"""Unit of log likelihoods, divergences and entropies, as means over a text."""


@dataclass(frozen=True)
class Quantity:
    """A quantity with its name in files and data frames, and what a reader sees.

    Attributes:
        name: name in data frames, JSON, and, after ``train/`` or ``valid/``, in ``metrics.csv``.
        label: name in tables and figures.
        unit: unit, or what a value refers to; empty without a unit.
        digits: decimal places in tables.
        lower_is_better: None if neither larger nor smaller values are better.
        explanation: one line about what it measures.
        heading: label of a narrow column; by default the label itself.
    """

    name: str
    label: str
    unit: str
    digits: int
    lower_is_better: bool | None
    explanation: str
    heading: str = ""

    def __post_init__(self) -> None:
        """Use the label as heading by default."""
        if not self.heading:
            object.__setattr__(self, "heading", self.label)

    @property
    def label_with_unit(self) -> str:
        """Label of an axis or of a value that stands alone."""
        if not self.unit:
            return self.label
        return f"{self.label}{' ' if self.unit.startswith('per ') else ', '}{self.unit}"


_TABLE = (
    Quantity(
        "perplexity",
        "perplexity",
        "per target token",
        3,
        True,
        "exponential of the negative mean log evidence",
    ),
    Quantity(
        "log_evidence",
        "log evidence",
        NATS,
        4,
        False,
        "log probability of the target, with latent variables marginalised out",
    ),
    Quantity("elbo", "ELBO", NATS, 4, False, "evidence lower bound"),
    Quantity(
        "kl",
        "KL(guide ‖ prior)",
        NATS,
        4,
        None,
        "divergence of the guide from the prior",
        "KL",
    ),
    Quantity(
        "gap",
        "KL(guide ‖ exact posterior)",
        NATS,
        4,
        True,
        "divergence of the guide from the exact posterior: log evidence − ELBO",
        "gap",
    ),
    Quantity(
        "prior_gap",
        "KL(prior ‖ exact posterior)",
        NATS,
        4,
        True,
        "divergence of the prior from the exact posterior: the gap of a guide equal to the prior",
    ),
    Quantity(
        "information",
        "KL(exact posterior ‖ prior)",
        NATS,
        4,
        None,
        "divergence of the exact posterior from the prior: what the target tells about z",
    ),
    Quantity(
        "prior_entropy",
        "entropy of the prior",
        NATS,
        4,
        None,
        "entropy of the prior, or of the weights of soft attention",
        "entropy",
    ),
    Quantity("guide_entropy", "entropy of the guide", NATS, 4, None, "entropy of the guide"),
    Quantity(
        "posterior_entropy",
        "entropy of the exact posterior",
        NATS,
        4,
        None,
        "entropy of the exact posterior",
    ),
    Quantity(
        "sentence_nll",
        "negative log likelihood of a sentence",
        "nats per sentence",
        3,
        True,
        "negative log probability of a sentence, estimated from samples if need be",
        "NLL",
    ),
    Quantity(
        "sentence_elbo",
        "ELBO of a sentence",
        "nats per sentence",
        3,
        False,
        "evidence lower bound of a sentence",
    ),
    Quantity(
        "sentence_kl",
        "KL(guide ‖ prior) of a sentence",
        "nats per sentence",
        3,
        None,
        "divergence of the guide from the prior of a latent variable of a sentence",
    ),
    Quantity("bleu", "BLEU", "", 2, False, "sacreBLEU, 0 to 100"),
    Quantity("chrf", "chrF", "", 2, False, "character F-score of sacreBLEU, 0 to 100"),
    Quantity(
        "mutual_information",
        "mutual information",
        "nats",
        2,
        None,
        "of sentence and latent variable under the guide",
    ),
    Quantity(
        "active_units",
        "active units",
        "",
        0,
        None,
        "dimensions of the latent variable whose posterior mean varies between sentences",
    ),
    Quantity(
        "exact_match",
        "reconstruction, exact match",
        "%",
        2,
        False,
        "percentage of sentences that are decoded from their latent variable without an error",
    ),
    Quantity(
        "reconstruction_bleu",
        "reconstruction, BLEU",
        "",
        2,
        False,
        "sacreBLEU of the sentences decoded from their latent variable, 0 to 100",
    ),
    Quantity("aer", "AER", "", 4, True, "alignment error rate against gold links, 0 to 1"),
    Quantity("precision", "precision", "", 4, False, "fraction of the links that are possible"),
    Quantity("recall", "recall", "", 4, False, "fraction of the sure links that are found"),
    Quantity(
        "word_error_rate",
        "word error rate",
        "%",
        2,
        True,
        "percentage of words with a wrong symbol",
    ),
    Quantity(
        "symbol_error_rate",
        "symbol error rate",
        "%",
        2,
        True,
        "edits as a percentage of the number of reference symbols",
    ),
    Quantity(
        "word_accuracy", "word accuracy", "%", 2, False, "percentage of words without wrong symbols"
    ),
    Quantity("mean_edit_distance", "mean edit distance", "", 3, True, "edits per word"),
    Quantity(
        "nll",
        "negative log likelihood",
        "nats per question",
        4,
        True,
        "mean negative log probability of the correct answers, with regions summed out",
        "NLL",
    ),
    Quantity(
        "answer_accuracy",
        "accuracy",
        "",
        4,
        False,
        "fraction of questions whose best answer is the correct one",
    ),
    Quantity(
        "vqa_accuracy",
        "VQA accuracy",
        "",
        4,
        False,
        "agreement of the best answer with several given answers, 0 to 1",
    ),
    Quantity(
        "answer_calibration_error",
        "calibration error",
        "",
        4,
        True,
        "mean distance between probability and accuracy of the best answer, over ten bins",
    ),
    Quantity(
        "gold_accuracy",
        "gold region",
        "",
        4,
        False,
        "fraction of questions whose most probable region is a gold region",
    ),
    Quantity("gold_mass", "gold mass", "", 4, False, "mean probability of the gold regions"),
    Quantity(
        "confidence", "mean probability", "", 3, None, "mean probability of the best alignment"
    ),
    Quantity(
        "accuracy",
        "accuracy of the best alignment",
        "",
        3,
        False,
        "fraction of best alignments that are correct",
        "accuracy",
    ),
    Quantity(
        "calibration_error",
        "calibration error of the best alignment",
        "",
        3,
        True,
        "mean distance between probability and accuracy, over ten bins of probability",
        "calibration error",
    ),
    Quantity(
        "effective_sample_size",
        "effective sample size",
        "per sample from the guide",
        4,
        False,
        "of importance weights, as a fraction of the number of samples",
    ),
    Quantity(
        "noise_to_signal",
        "noise/signal",
        "relative to the reference gradient",
        4,
        True,
        "square root of the total variance of a gradient estimate",
    ),
    Quantity(
        "bias",
        "bias",
        "relative to the reference gradient",
        4,
        True,
        "distance of the expected gradient from the reference",
    ),
    Quantity("sentences", "sentence pairs", "", 0, None, "sentence pairs of the text"),
    Quantity("tokens", "target tokens", "", 0, None, "target tokens, including sentence ends"),
    Quantity("steps", "steps", "", 0, True, "optimiser steps"),
    Quantity("step", "optimiser step", "", 0, None, "optimiser steps since the start of the fit"),
    Quantity("epoch", "epoch", "", 0, None, "passes over the training text, from 1"),
    Quantity("kl_weight", "KL weight", "", 4, None, "weight of the KL divergence in the loss"),
    Quantity("learning_rate", "learning rate", "", 4, None, "step size of the optimiser"),
    Quantity("tokens_per_second", "speed", "tokens/s", 0, False, "target tokens trained", "tok/s"),
    Quantity(
        "seconds",
        "seconds",
        "",
        1,
        None,
        "seconds of training, without validation and interruptions",
    ),
    Quantity(
        "fit_seconds",
        "seconds of training",
        "",
        1,
        True,
        "seconds of training and validation, without interruptions",
        "fit seconds",
    ),
)

QUANTITIES = {quantity.name: quantity for quantity in _TABLE}
"""All quantities by name."""


def named(text: str, target: str) -> str:
    """Put the name of a target position, such as ``question``, into a label or unit."""
    return re.sub(r"(?:target )?token", target, text)


def aer_label(kind: str) -> str:
    """Return the label of the alignment error rate of the links of a distribution."""
    return f"{QUANTITIES['aer'].label} of the {kind}"
