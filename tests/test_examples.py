"""The programs in `examples/` run, and learn something."""

from __future__ import annotations

import importlib.util
import math
import re
from pathlib import Path

import torch

EXAMPLES = Path(__file__).parents[1] / "examples"


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gaussian_auto_encoder(capsys):
    loaded("gaussian_vae").main(steps=250)
    printed = capsys.readouterr().out
    first, *_, last = (float(value) for value in re.findall(r"bound (-?[\d.]+)", printed))
    evidence = float(re.search(r"log evidence (-?[\d.]+)", printed).group(1))
    # What a Gaussian with the moments of the points has.
    across = torch.linspace(0, 1, 10_001)
    variances = torch.stack([across, 4 * (across - 0.5) ** 2]).var(1)
    gaussian = -0.5 * (math.log(2 * math.pi) + 1 + variances.log()).sum().item()
    assert first < gaussian + 0.1 < last < evidence + 0.05
