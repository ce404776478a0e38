"""BLEU and chrF, computed by sacreBLEU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyro_align.errors import reject_string


@dataclass(frozen=True)
class TranslationScores:
    """Corpus scores between 0 and 100, with sacreBLEU's signatures.

    Scores are comparable only if their signatures are equal.
    """

    bleu: float
    bleu_signature: str
    chrf: float
    chrf_signature: str


def translation_scores(hypotheses: Sequence[str], references: Sequence[str]) -> TranslationScores:
    """Score detokenised translations: cased BLEU with 13a tokenisation, and chrF2.

    Args:
        hypotheses: one translation per sentence.
        references: one reference per translation.

    Raises:
        ValueError: if there are none, or their numbers differ.
        UserError: if one of them is a string.
    """
    reject_string("hypotheses", hypotheses)
    reject_string("references", references)
    if not references or len(hypotheses) != len(references):
        raise ValueError(
            f"{len(hypotheses)} translations and {len(references)} references: scoring needs one "
            "reference per translation, and at least one"
        )
    from sacrebleu.metrics.bleu import BLEU  # slow to import
    from sacrebleu.metrics.chrf import CHRF

    # force: no warning about text that looks tokenised.
    bleu, chrf = BLEU(force=True), CHRF()
    return TranslationScores(
        bleu=bleu.corpus_score(hypotheses, [references]).score,
        bleu_signature=str(bleu.get_signature()),
        chrf=chrf.corpus_score(hypotheses, [references]).score,
        chrf_signature=str(chrf.get_signature()),
    )
