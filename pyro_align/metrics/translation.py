"""BLEU and chrF, through sacreBLEU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from pyro_align.errors import reject_string


@dataclass(frozen=True)
class TranslationScores:
    """Corpus scores between 0 and 100, with sacreBLEU's account of how they were computed.

    Scores are comparable where their signatures are equal, and only there.
    """

    bleu: float
    bleu_signature: str
    chrf: float
    chrf_signature: str


def translation_scores(hypotheses: Sequence[str], references: Sequence[str]) -> TranslationScores:
    """Score detokenised translations: cased BLEU with 13a tokenisation, and chrF2.

    Args:
        hypotheses: one translation a sentence.
        references: one reference for each.

    Raises:
        ValueError: if there are none, or not as many of one as of the other.
        UserError: if one of them is a string.
    """
    reject_string("hypotheses", hypotheses)
    reject_string("references", references)
    if not references or len(hypotheses) != len(references):
        raise ValueError(
            f"{len(hypotheses)} translations and {len(references)} references: scoring takes one "
            "reference a translation, and at least one"
        )
    # force: no warning about text that looks tokenised; the signature tells what was done.
    bleu, chrf = BLEU(force=True), CHRF()
    return TranslationScores(
        bleu=bleu.corpus_score(hypotheses, [references]).score,
        bleu_signature=str(bleu.get_signature()),
        chrf=chrf.corpus_score(hypotheses, [references]).score,
        chrf_signature=str(chrf.get_signature()),
    )
