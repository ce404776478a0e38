"""The table of quantities: complete, without duplicates, and used wherever they are shown."""

import re
from dataclasses import fields
from importlib.resources import files

import pytest

from pyro_align.cli.compare import COLUMNS
from pyro_align.evaluation import FormRates, PositionMeans
from pyro_align.evaluation.quantities import QUANTITIES, named
from pyro_align.evaluation.result import MEANS
from pyro_align.posterior.sentence import ENTROPIES, SUMS
from pyro_align.training.logs import COLUMNS as LOGGED


def test_labels_are_unique():
    assert len({quantity.label for quantity in QUANTITIES.values()}) == len(QUANTITIES)


@pytest.mark.parametrize("quantity", QUANTITIES.values(), ids=lambda one: one.name)
def test_quantities_are_explained_in_one_line(quantity):
    assert quantity.explanation
    assert "\n" not in quantity.label + quantity.explanation + quantity.unit


def test_all_quantities_of_files_and_frames_are_in_the_table():
    suffix = re.compile("_(posterior|guide|prior)$")
    compared = {suffix.sub("", column.name) for column in COLUMNS if column.digits}
    logged = {name.removeprefix("train/").removeprefix("valid/") for name in LOGGED}
    rates = {one.name for one in fields(FormRates)}
    assert {*SUMS, *ENTROPIES, *MEANS, *compared, *logged, *rates} <= {*QUANTITIES}


def test_means_are_the_optional_fields_of_position_means():
    assert {*MEANS} == {one.name for one in fields(PositionMeans)[3:]}


def test_the_view_explains_quantities_of_the_table():
    """The view is JavaScript with its own headings; its names and signs are those of the table."""
    script = files("pyro_align.posterior").joinpath("assets", "data.js").read_text(encoding="utf-8")
    table = script.partition("const MEASURES = [")[2].partition("\n];")[0]
    rows = re.findall(r'\["(\w+)", "[^"]*", "([^"]*), in nats"', table)
    assert len(rows) == table.count("\n")
    for name, text in rows:
        quantity = QUANTITIES[name]
        if name != "log_evidence":  # shown as surprisal, its negative
            assert quantity.explanation.startswith(text) or quantity.label == text


def test_labels_with_units():
    assert QUANTITIES["perplexity"].label_with_unit == "perplexity per target token"
    assert QUANTITIES["elbo"].label_with_unit == "ELBO, nats per target token"
    assert QUANTITIES["bleu"].label_with_unit == "BLEU"
    assert named("ELBO, nats per target token", "question") == "ELBO, nats per question"
    assert named("tokens/s", "question") == "questions/s"
    for label in ("ELBO, nats per target token", "BLEU"):
        assert named(label, "target token") == label
