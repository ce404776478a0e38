"""HTML reports about a run and its posteriors on a text."""

from pyro_align.runs.report.build import report_page, write_report
from pyro_align.runs.report.findings import Disagreement, certainty, disagreements

__all__ = [
    "Disagreement",
    "certainty",
    "disagreements",
    "report_page",
    "write_report",
]
