import torch

from pyro_align.word_alignment.hmm import Classes, Lexicon

SPARSITY, SPELLING = 0.5, 8.0


def lexicon():
    """Source words a, bank, c; target words x, bank, banka, z; c, z and a, z do not co-occur."""
    source, target = Classes(5, ["a", "bank", "c"]), Classes(5, ["x", "bank", "banka", "z"])
    pairs = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (2, 4), (3, 1)]
    keys = torch.tensor([one * len(target) + other for one, other in pairs])
    frequency = torch.tensor([0.0, 5.0, 2.0, 1.0, 2.0])
    return Lexicon(source, target, keys, frequency, sparsity=SPARSITY, spelling=SPELLING)


def expected():
    """Return counts plus pseudo-counts, ``[source word, target word]``."""
    counts = torch.tensor([[3.0, 1.0, 0.0, 0.0], [0.5, 2.0, 1.0, 4.0], [1.5, 0.0, 0.0, 0.0]])
    prior = torch.full((3, 4), SPARSITY)
    prior[1, 1] += SPELLING  # bank bank
    prior[1, 2] += SPELLING / 4  # bank banka
    return counts, prior


def learnt():
    made = lexicon()
    counts, _ = expected()
    made.learn(counts.flatten()[[0, 1, 2, 4, 5, 6, 7, 8]])
    return made


def test_predictions_are_those_of_dirichlet_and_categorical():
    counts, prior = expected()
    table = (counts + prior) / (counts + prior).sum(1, keepdim=True)
    source, target = torch.tensor([[1, 2], [2, 3]]), torch.tensor([[1, 2, 3], [4, 1, 0]])
    found = learnt().log_probs(source, target).exp()
    torch.testing.assert_close(found[0, :, 1:], table[[0, 1]][:, :3].T)
    torch.testing.assert_close(found[1, 0, 1], table[1, 3])
    torch.testing.assert_close(found[1, 1, 1:], table[[1, 2], [0, 0]])
    null = torch.tensor([6.0, 3.0, 2.0, 3.0]) / 14
    torch.testing.assert_close(found[0, :, 0], null[:3])
    torch.testing.assert_close(found[1, :2, 0], null[[3, 0]])


def test_own_counts_are_subtracted():
    own = torch.tensor([[[0.75, 0.25]]])
    found = learnt().log_probs(torch.tensor([[1, 2]]), torch.tensor([[1]]), own).exp()[0, 0, 1:]
    counts, prior = expected()
    counts[0, 0] -= 0.75
    first = (counts + prior)[0] / (counts + prior)[0].sum()
    counts[1, 0] -= 0.25
    second = (counts + prior)[1] / (counts + prior)[1].sum()
    torch.testing.assert_close(found, torch.stack([first[0], second[0]]))


def test_tables_equal_the_predictive_probabilities():
    made = learnt()
    table = made.table(torch.tensor([0, 1, 2, 3]))
    torch.testing.assert_close(table.sum(1), torch.ones(4))
    assert not table[:, 0].any()
    words = torch.tensor([[1, 2, 3, 4]])
    found = made.log_probs(torch.tensor([[2]]), words).exp()[0]
    torch.testing.assert_close(table[2, 1:], found[:, 1])
    torch.testing.assert_close(table[0, 1:], found[:, 0])


def test_counts_of_another_lexicon_are_copied():
    old = learnt()
    names = ("keys", "counts", "totals", "prior_total", "frequency")
    source = Classes(5, ["a", "bank", "c", "new"])
    target = Classes(5, ["x", "bank", "banka", "z", "newx"])
    pairs = [(1, 1), (2, 2), (2, 5), (3, 4), (4, 1), (4, 5)]
    keys = torch.tensor([one * len(target) + other for one, other in pairs])
    new = Lexicon(source, target, keys, torch.zeros(6), sparsity=SPARSITY, spelling=SPELLING)
    new.take_over(**{name: getattr(old, name) for name in names})

    def probability(lexicon, one, other):
        return lexicon.log_probs(torch.tensor([[one]]), torch.tensor([[other]]))[0, 0, 1].exp()

    for pair in ((1, 1), (2, 2)):
        torch.testing.assert_close(probability(new, *pair), probability(old, *pair))
    # A pair that was not seen has its pseudo-count; c was linked 1.5 times, 4 words were known.
    torch.testing.assert_close(probability(new, 3, 4).item(), SPARSITY / (1.5 + 4 * SPARSITY))
    # Of a new word, what is spelled alike is likely.
    likely = (SPARSITY + SPELLING / 4) / (5 * SPARSITY + SPELLING / 4)
    torch.testing.assert_close(probability(new, 4, 5).item(), likely)
