"""Shared functions of the benchmarks: tables, the machine, environments of other toolkits."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).parent / "results"


def markdown(table: pd.DataFrame) -> str:
    """Format a frame as a Markdown table."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.fillna("–").values.tolist()]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def machine(how: str) -> str:
    """Describe processor, its use, and the command."""
    model = platform.processor() or platform.machine()
    if (facts := Path("/proc/cpuinfo")).exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
    given = [repr(each) if " " in each else each for each in sys.argv[1:]]
    for place in {"--out", "--python"} & set(given):  # local folders are not informative
        at = given.index(place)
        del given[at : at + 2]
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *given])
    return f"{model}, {os.cpu_count()} cores, {how}; `{command}`"


def save(name: str, title: str, report: str) -> None:
    """Write ``results/NAME.md``."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(f"# {title}\n\n{report}\n", encoding="utf-8")


def environment(folder: Path, *packages: str) -> Path:
    """Create a virtual environment with packages, and return its Python."""
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", *packages]
    subprocess.run(install, check=True, stdout=sys.stderr)
    return python
