"""The page "Latent sites and strategies": its code is run, and its table matches the classes."""

from __future__ import annotations

import re

import torch
from pages import DOCS, Page
from support import random_batch, tiny_networks

from pyro_align.config.registry import OBJECTIVES
from pyro_align.inference.importance import ImportanceObjective

PAGE = Page(DOCS / "concepts" / "latent-sites.md")


def test_the_example_runs_with_a_divergence_by_site():
    _, program, use, score = PAGE.code("python")
    names = {}
    exec(program, names)
    torch.manual_seed(0)
    model = names["TopicModel"](tiny_networks()).double()
    guide = names["TopicGuide"](model).double()
    names |= {"model": model, "guide": guide, "batch": random_batch()}
    exec(use, names)
    exec(score, names)
    assert names["scores"].log_evidence.shape == (3,)
    assert set(names["terms"].kl) == set(guide.latents)
    assert names["terms"].kl["topic"] > 0
    for program in (model.shift, guide.parameters_of):
        assert program.weight.grad.norm() > 0


def test_the_table_matches_the_strategy_of_every_objective():
    row = re.compile(
        r"^\| \[([\w-]+)\]\(\.\./objectives/\1\.md\) \| (.*) \| (.*) \|$", re.MULTILINE
    )
    rows = row.findall(PAGE.text)
    assert {name for name, *_ in rows} == set(OBJECTIVES)
    for name, alignment, others in rows:
        kind = OBJECTIVES.get(name)
        assert ("pathwise" in others) == (kind.is_pathwise and kind.other_sites != "none")
        assert ("one sample" in others) == (
            issubclass(kind, ImportanceObjective) and kind.other_sites == "both"
        )
        assert ("pathwise" in alignment) == ("pathwise" in kind.strategy)
