"""Results as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pyro_align.evaluation import Evaluation


def evaluation_table(result: Evaluation, title: str) -> Table:
    """What was measured, a row each."""
    means = result.positions
    table = Table(title=title, box=SIMPLE, title_justify="left", show_header=False)
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("note")
    if means.estimated:
        kind, note = "perplexity", "per target piece, estimated from draws; too high if anything"
    else:
        kind, note = "exact perplexity", "per target piece, alignments summed out"
    rows: list[tuple[str, float | None, int, str]] = [
        (kind, means.perplexity, 3, note),
        ("log evidence", means.log_evidence, 4, "nats a piece"),
        ("ELBO", means.elbo, 4, "nats a piece"),
        ("KL(guide ‖ prior)", means.kl, 4, "nats a piece"),
        ("KL(guide ‖ exact posterior)", means.gap, 4, "nats a piece: log evidence − ELBO"),
        ("entropy of the prior", means.prior_entropy, 4, "nats a piece"),
        ("entropy of the exact posterior", means.posterior_entropy, 4, "nats a piece"),
    ]
    if result.translation is not None:
        scores = result.translation
        rows.append(("BLEU", scores.bleu, 2, scores.bleu_signature))
        rows.append(("chrF", scores.chrf, 2, scores.chrf_signature))
    for name, rate in result.error_rates.items():
        low, high = rate.interval()
        note = (
            f"95 % within {low:.4f} and {high:.4f}, precision {rate.precision:.3f}, "
            f"recall {rate.recall:.3f}"
        )
        rows.append((f"AER of the {name}", rate.error_rate, 4, note))
    for name, value, digits, note in rows:
        if value is not None:
            table.add_row(name, f"{value:.{digits}f}", note)
    table.add_row("sentence pairs", str(result.sentences), f"{means.tokens} target pieces")
    return table


def show(table: Table) -> None:
    """Print a table on standard output, as wide as it needs where that is no terminal."""
    # Brackets are brackets here, not markup.
    console = Console(markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 160
    console.print(table)
