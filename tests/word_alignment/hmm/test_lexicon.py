from dataclasses import replace

import torch

from pyro_align.word_alignment.hmm import (
    Cells,
    Lexicon,
    Settings,
    Spelling,
    Types,
    Unstored,
    WordPairs,
    Words,
)

SETTINGS = Settings(
    affixes=(1, -2), concentration=3.0, sparsity=0.5, spelling=8.0, null_concentration=7.0
)
SOURCE, TARGET = ["a", "bank", "bark"], ["x", "bank", "banka", "xa"]
PAIRS = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (2, 4), (3, 1)]
NULLS = [0.0, 2.0, 0.5, 0.0, 1.0]
COUNTS = [3.0, 1.0, 0.0, 0.5, 2.0, 1.0, 4.0, 1.5]
FREQUENCY = [5.0, 2.0, 1.0, 2.0]
ONCE = [(1, 3), (2, 3), (2, 4)]
"""Pairs that occur once, in the test of a lexicon that does not store them."""


def lexicon(repeated=None):
    """Pairs (a, xa), (bark, bank), … do not co-occur."""
    keys = torch.tensor([one * (1 + len(TARGET)) + other for one, other in PAIRS])
    spelling = Spelling(SOURCE, TARGET, SETTINGS.related)
    pairs = WordPairs.create(Types(SOURCE), Types(TARGET), keys, SETTINGS.affixes, repeated)
    frequency = torch.tensor([0.0, *FREQUENCY])
    made = Lexicon(pairs, frequency, spelling, SETTINGS, torch.zeros(len(pairs)))
    made.relate()
    return made


def learnt():
    made = lexicon()
    made.learn(torch.tensor(COUNTS), torch.tensor(NULLS))
    return made


def null(own=0.0, of=None):
    """Return the probabilities of target words without a link, without an own count of one."""
    counts = [n - own * (of == f) for f, n in enumerate(NULLS)][1:]
    prior = [7.0 * (frequency + 1) / 14 for frequency in FREQUENCY]
    return torch.tensor([n + p for n, p in zip(counts, prior, strict=True)]) / (10.5 - own)


def expected(own=None):
    """Return the probabilities ``[source word, target word]``, computed one by one."""
    spelling = Spelling(SOURCE, TARGET, SETTINGS.related)
    counts = dict(zip(PAIRS, COUNTS, strict=True))
    if own is not None:
        counts[own[0]] -= own[1]
    smoothed = [frequency + 1 for frequency in FREQUENCY]

    def related(pair):
        return SETTINGS.spelling * spelling.related(*(torch.tensor([i]) for i in pair)).item()

    rows = []
    for e, one in enumerate(SOURCE, 1):
        row = []
        for f, other in enumerate(TARGET, 1):
            base = 0.0
            for cut in (slice(1), slice(-2, None)):
                of = {p: c for p, c in counts.items() if SOURCE[p[0] - 1][cut] == one[cut]}
                both = sum(c for p, c in of.items() if TARGET[p[1] - 1][cut] == other[cut])
                classes = len({word[cut] for word in TARGET})
                mine = [n for n, w in zip(smoothed, TARGET, strict=True) if w[cut] == other[cut]]
                affix = (both + 0.5) / (sum(of.values()) + 0.5 * classes)
                base += affix * smoothed[f - 1] / sum(mine) / 2
            word = counts.get((e, f), 0.0)
            word += related((e, f)) if (e, f) in counts else 0.0
            total = sum(c + related(p) for p, c in counts.items() if p[0] == e)
            row.append((word + 3.0 * base) / (total + 3.0))
        rows.append(row)
    return torch.tensor(rows)


def test_predictions_are_those_of_the_hierarchical_prior():
    table = expected()
    torch.testing.assert_close(table.sum(1), torch.ones(3))
    source, target = torch.tensor([[1, 2], [2, 3]]), torch.tensor([[1, 2, 3], [4, 1, 3]])
    found = learnt().log_probs(source, target).exp()
    torch.testing.assert_close(found[0, :, 1:], table[[0, 1]][:, :3].T)
    torch.testing.assert_close(found[1, :, 1:], table[[1, 2]][:, [3, 0, 2]].T)
    torch.testing.assert_close(found[0, :, 0], null()[:3])
    torch.testing.assert_close(found[1, :2, 0], null()[[3, 0]])


def test_stored_pairs_are_found_by_their_places():
    made, words = learnt(), Words(torch.tensor([[1, 2]]), torch.tensor([[1, 2, 3]]))
    found = made.log_probs_of_cells(Cells.find(words, made.pairs))
    torch.testing.assert_close(found, made.log_probs(words.source, words.target))


def test_own_counts_are_subtracted():
    own = torch.tensor([[[0.5, 0.75, 0.25]]])
    made, words = learnt(), Words(torch.tensor([[1, 2]]), torch.tensor([[1]]))
    found = made.log_probs_of_cells(Cells.find(words, made.pairs), own).exp()[0, 0]
    first, second = expected(((1, 1), 0.75))[0, 0], expected(((2, 1), 0.25))[1, 0]
    torch.testing.assert_close(found, torch.stack([null(0.5, 1)[0], first, second]))


def test_pairs_that_occur_once_need_not_be_stored():
    """All counts of such a pair are those of its only cell, which are subtracted."""
    repeated = torch.tensor([pair not in ONCE for pair in PAIRS])
    made = lexicon(repeated)
    assert len(made.pairs) == len(PAIRS) - len(ONCE)
    counts = dict(zip(PAIRS, COUNTS, strict=True))
    links, priors = torch.zeros(2, 1 + len(SOURCE))
    affixes = torch.zeros(len(made.pairs.affixes) + 1)
    for one, other in ONCE:
        pair = torch.tensor([one]), torch.tensor([other])
        links[one] += counts[one, other]
        priors[one] += made.related(*pair).item()
        affixes[made.pairs.affixes.find_each(*pair)[0].long()] += counts[one, other]
    made.relate(others=priors)
    made.learn(torch.tensor(COUNTS)[repeated], torch.tensor(NULLS), Unstored(links, affixes))
    words = Words(torch.tensor([[1, 2], [2, 0]]), torch.tensor([[3, 2], [4, 1]]))
    own = torch.tensor(
        [
            [[0.0, 0.0, 1.0], [0.0, 0.5, 0.25]],
            [[0.0, 4.0, 0.0], [0.0, 0.125, 0.0]],
        ]
    )
    cells = Cells.find(words, made.pairs)
    assert sorted(zip(*(side.tolist() for side in words.at(cells.single)), strict=True)) == ONCE
    for turned in (False, True):  # twice turned is the same
        prior = made.related(*words.at(cells.single))
        here = cells.turned(prior).turned(prior) if turned else replace(cells, prior=prior)
        found = made.log_probs_of_cells(here, own).exp()[..., 1:]
        for sentence, source in enumerate(([1, 2], [2])):
            for t, f in enumerate(words.target[sentence].tolist()):
                for s, e in enumerate(source):
                    subtracted = (e, f), own[sentence, t, 1 + s].item()
                    torch.testing.assert_close(
                        found[sentence, t, s], expected(subtracted)[e - 1, f - 1]
                    )


def test_tables_equal_the_predictive_probabilities():
    made = learnt()
    table = made.table(torch.tensor([0, 1, 2, 3]))
    torch.testing.assert_close(table.sum(1), torch.ones(4))
    assert not table[:, 0].any()
    torch.testing.assert_close(table[1:, 1:], expected())
    torch.testing.assert_close(table[0, 1:], null())


def test_both_directions_store_pairs_in_the_same_order():
    """The other direction of shared pairs against one that is made from swapped pairs."""
    codes = torch.tensor([one * (1 + len(TARGET)) + other for one, other in PAIRS])
    swapped = torch.tensor([other * (1 + len(SOURCE)) + one for one, other in PAIRS])
    order = swapped.argsort()
    source, target, affixes = Types(SOURCE), Types(TARGET), SETTINGS.affixes
    turned = WordPairs.create(source, target, codes, affixes).turned()
    alone = WordPairs.create(target, source, swapped[order], affixes)
    counts, tables = torch.tensor(COUNTS), []
    words = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[1, 2, 3]])
    for pairs, mine in ((turned, counts), (alone, counts[order])):
        spelling = Spelling(TARGET, SOURCE, SETTINGS.related)
        frequency = torch.tensor([0.0, 4.0, 1.0, 2.0])
        made = Lexicon(pairs, frequency, spelling, SETTINGS, torch.zeros(len(pairs)))
        made.relate()
        made.learn(mine)
        tables.append(made.log_probs(*words))
        assert (pairs.index.find(*words) < len(pairs)).sum() == len(PAIRS)
    torch.testing.assert_close(*tables)
