"""A run and what it believes about a text, as one HTML page."""

from pyro_align.report.build import report_page, write_report
from pyro_align.report.findings import Disagreement, certainty, disagreements

__all__ = [
    "Disagreement",
    "certainty",
    "disagreements",
    "report_page",
    "write_report",
]
