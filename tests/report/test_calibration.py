"""Calibration, by hand."""

import numpy as np
import pytest
from browser import posterior, sentence

from pyro_align.corpus import GoldLinks
from pyro_align.report import Bin, calibration


def of(rows, gold):
    one = sentence([f"s{i}" for i in range(len(rows[0]))], [f"t{i}" for i in range(len(rows))])
    one.guide[:] = np.array(rows)
    object.__setattr__(one, "gold", gold)
    return one


def test_by_hand():
    links = GoldLinks(frozenset({(0, 0), (1, 2)}), frozenset({(1, 1)}))
    rows = [[0.92, 0.08, 0.0], [0.03, 0.94, 0.03], [0.5, 0.2, 0.3], [0.1, 0.1, 0.8]]
    found = calibration(posterior(of(rows, links)), "guide")
    # The last target token has no gold link: nothing is known of it.
    assert found.count == 3
    assert [(one.count, one.accuracy) for one in found.bins] == [(1, 0), (2, 1)]
    assert [one.confidence for one in found.bins] == pytest.approx([0.5, 0.93])
    assert found.confidence == pytest.approx((0.92 + 0.94 + 0.5) / 3)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.error == pytest.approx((2 * 0.07 + 1 * 0.5) / 3)


def test_certainty_falls_into_the_last_bin():
    one = of([[1.0, 0.0], [0.05, 0.95]], GoldLinks(frozenset({(0, 0), (1, 1)})))
    assert calibration(posterior(one), "guide").bins == (Bin(pytest.approx(0.975), 1, 2),)


def test_what_is_drawn_from_the_distribution_is_calibrated():
    generator = np.random.default_rng(0)
    sentences = []
    for _ in range(200):
        rows = generator.dirichlet(np.ones(4) * 0.5, size=20)
        drawn = (generator.multinomial(1, row).argmax() for row in rows)
        links = frozenset((int(source), target) for target, source in enumerate(drawn))
        sentences.append(of(rows, GoldLinks(links)))
    found = calibration(posterior(*sentences), "guide")
    assert found.count == 4000
    assert found.error < 0.03  # of 10 bins of about 400
    assert calibration(posterior(*sentences), "prior").error > 0.2


def test_without_gold():
    assert calibration(posterior(of([[1.0]], None)), "guide") is None
    assert calibration(posterior(of([[1.0]], GoldLinks(frozenset()))), "guide") is None
