"""Build the report: the run, its training, notable posteriors, and a view of all posteriors."""

from __future__ import annotations

from pathlib import Path

from pyro_align.files import atomic_write
from pyro_align.posterior import AlignmentPosterior, AnswerPosterior
from pyro_align.posterior.html import page
from pyro_align.runs.display import facts, results
from pyro_align.runs.report import alignments, answers
from pyro_align.runs.report.curves import training
from pyro_align.runs.report.tables import section, table
from pyro_align.runs.run import Run


def write_report(run: Run, posterior: AlignmentPosterior | AnswerPosterior, path: Path) -> None:
    """Write :func:`report_page` to a file.

    Raises:
        OutputError: if the file cannot be written.
        RunError: if a file of the run is damaged.
    """
    content = report_page(run, posterior)
    with atomic_write(path, "t") as file:
        file.write(content)


def report_page(run: Run, posterior: AlignmentPosterior | AnswerPosterior) -> str:
    """Return a self-contained HTML page about a run and its posteriors.

    Args:
        run: a fitted run.
        posterior: posteriors of this run for at least one sentence pair or question.

    Raises:
        RunError: if a file of the run is damaged.
    """
    if isinstance(posterior, AnswerPosterior):
        means, sections = answers.means(posterior), answers.sections(posterior)
        caption = f"On these {len(posterior)} questions"
    else:
        means, sections = alignments.means(posterior), alignments.sections(posterior, run.task.unit)
        caption = f"On this text, {len(posterior)} {run.task.unit}"
    parts = [
        "<h2>The run</h2>",
        f'<div class="columns">{table(facts(run))}<div>'
        f"{table(results(run), 'Evaluation results stored in the run')}"
        f"{table(means, caption)}"
        "</div></div>",
        *section("Training", training(run)),
        *sections,
    ]
    return page(posterior.title, parts)
