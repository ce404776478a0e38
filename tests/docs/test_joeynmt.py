"""The page "Add latent attention to a JoeyNMT model": code and figures are the benchmark's."""

from pages import DOCS, ROOT, Page

PAGE = Page(DOCS / "how-to" / "joeynmt.md")
BENCHMARKS = ROOT / "benchmarks"


def test_the_code_has_ten_lines_at_most_and_is_the_benchmarks():
    (code,) = PAGE.code("python")
    lines = [line.strip() for line in code.splitlines() if line]
    assert len(lines) <= 10
    side = (BENCHMARKS / "joeynmt_latent_side.py").read_text(encoding="utf-8")
    measured = {line.strip() for line in side.splitlines()}
    # The benchmark has type annotations, and the class is an argument.
    written = {
        "def forward(self, **inputs):": "def forward(self, **inputs: Any) -> tuple[Any, ...]:",
        "decoder.output_layer, decoder.__class__ = nn.Identity(), LatentDecoder": (
            "decoder.output_layer, decoder.__class__ = nn.Identity(), kind"
        ),
    }
    assert {written.get(line, line) for line in lines} <= measured


def test_the_figures_are_the_benchmarks():
    results = (BENCHMARKS / "results" / "joeynmt_latent.md").read_text(encoding="utf-8")
    rows = [line for line in results.splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert [line for line in PAGE.prose.splitlines() if line.startswith("|")] == rows
