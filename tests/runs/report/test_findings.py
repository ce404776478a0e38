"""Notable sentences and tokens, against a sort of all of them."""

import numpy as np
from browser import posterior, sentence, words

from pyro_align.runs.report import certainty, disagreements


def some():
    return [sentence(words("s", 3 + i % 4), words("t", 2 + i % 3), i) for i in range(12)]


def test_certainty():
    sentences = some()
    found = certainty(posterior(*sentences))
    means = [float(one.posterior_entropy.mean()) for one in sentences]
    assert [index for index, _ in found] == np.argsort(means).tolist()
    assert [value for _, value in found] == sorted(means)


def test_certainty_of_soft_attention():
    sentences = [sentence(words("s", 5), words("t", 2), i, soft=True) for i in range(5)]
    found = certainty(posterior(*sentences))
    assert dict(found) == {i: float(one.prior_entropy.mean()) for i, one in enumerate(sentences)}


def test_disagreements():
    sentences = some()
    every = []
    for number, one in enumerate(sentences):
        for row in range(len(one.target)):
            pairs = list(zip(one.prior[row], one.posterior[row], strict=True))
            distance = sum(max(0.0, float(p) - float(q)) for p, q in pairs)
            every.append((distance, number, row))
    every.sort(reverse=True)
    found = disagreements(posterior(*sentences), "prior", "posterior", most=7)
    assert [(one.sentence, one.target) for one in found] == [
        (number, row) for _, number, row in every[:7]
    ]
    for one, (distance, number, row) in zip(found, every, strict=False):
        assert abs(one.distance - distance) < 1e-6
        assert one.before == sentences[number].prior[row].argmax()
        assert one.after == sentences[number].posterior[row].argmax()
