"""Which source symbols unknown symbols of a prediction are copies of."""

from __future__ import annotations

import pytest
from support import randomise, tiny_networks

from pyro_align.data.batch import EOS, UNK, TextBatch
from pyro_align.decoding.copied import copied_unknown, copies
from pyro_align.inference import score_positions
from pyro_align.models import CategoricalModel, MarkovModel, SoftModel

SOURCES = [[4, UNK, 5, UNK, UNK, EOS], [UNK, EOS], [UNK, 4, UNK, EOS]]
TARGETS = [[UNK, 4, UNK, UNK, EOS], [UNK, UNK, EOS], [5, EOS]]
SYMBOLS = [["a", "q", "b", "x", "y", None], ["z", None], [None, "a", "u", None]]


@pytest.mark.parametrize("kind", [CategoricalModel, MarkovModel, SoftModel])
def test_the_most_probable_unknown_symbol_is_copied(kind):
    """Over several models, so that the posteriors differ in which symbol is the best."""
    models = [randomise(kind(tiny_networks(seed=seed, copying=True)), seed) for seed in range(3)]
    answers = set()
    for chosen in ([models[0]], models[1:2], models):
        found = copied_unknown(chosen, SOURCES, TARGETS, SYMBOLS)
        assert [len(each) for each in found] == [3, 2, 0]
        assert set(found[1]) == {"z"}
        for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
            total = 0.0
            for model in chosen:
                one = score_positions(model, None, TextBatch.from_ids([source], [target]))
                logs = one.log_prior if one.log_posterior is None else one.log_posterior
                total = total + logs[0].exp()
            expected = []
            for t in (t for t, number in enumerate(target) if number == UNK):
                pairs = zip(source, SYMBOLS[row], total[t].tolist(), strict=True)
                weights = {text: p for number, text, p in pairs if number == UNK and text}
                expected.append(max(weights, key=weights.__getitem__))
            assert found[row] == expected
        answers.add(tuple(found[0]))
    assert len(answers) > 1


def test_only_models_with_a_copy_emission_copy():
    assert copies(CategoricalModel(tiny_networks(copying=True)))
    assert not copies(CategoricalModel(tiny_networks()))
