"""Fitting against an implementation that enumerates all alignments of short sentences."""

import itertools
import math
from collections import defaultdict

import pytest
import torch
from runs import silent

from pyro_align.errors import DataError
from pyro_align.word_alignment.hmm import Settings, Spelling, fit

PAIRS = [
    ("ad bd", "xf yf"),
    ("bd ae", "yf xg"),
    ("ad", "xf"),
    ("ae bd ad", "xg yf"),
    ("bd", "yf yg yf"),
]
PRIOR = {("ad", "xf"): 3.0, ("bd", "xg"): 0.5, ("cd", "xg"): 2.0, ("ae", "yh"): 1.0}
"""Of words that are in the text together, apart, or not at all."""

SETTINGS = Settings(
    affixes=(1, -1),
    concentration=2.0,
    sparsity=0.1,
    spelling=0.0,
    related=0.4,
    null=0.2,
    null_concentration=3.0,
    diagonal=0.7,
    fertility_concentration=2.0,
    max_jump=1,
    jump_prior=0.5,
)


class Written:
    """Reference implementation of one direction, with dictionaries and sums over all chains."""

    def __init__(self, pairs, prior, strength):
        self.pairs = [(source.split(), target.split()) for source, target in pairs]
        self.words = {word for _, target in self.pairs for word in target}
        self.words |= {word for _, word in prior}
        self.prior = prior
        self.frequency = defaultdict(int)
        for _, target in self.pairs:
            for word in target:
                self.frequency[word] += 1
        self.counts = defaultdict(float, prior)
        self.nulls = defaultdict(float)
        self.own = [defaultdict(float) for _ in pairs]
        self.jumps = {-1: 1.0, 0: 1.0, 1: 1.0}
        self.starts = {0: 1.0, 1: 1.0}
        self.fertility = None
        self.power = 0.0
        self.related = self.relate(strength)

    def relate(self, strength):
        """Return the pseudo-counts of all pairs of words that co-occur in text or prior."""
        together = {(e, f) for source, target in self.pairs for e in source for f in target}
        together |= {*self.prior}
        sides = [sorted({pair[side] for pair in together}) for side in (0, 1)]
        spelling = Spelling(*sides, SETTINGS.related)
        related = defaultdict(float)
        for e, f in together:
            ids = (torch.tensor([1 + side.index(w)]) for side, w in zip(sides, (e, f), strict=True))
            related[e, f] = strength * spelling.related(*ids).item()
        return related

    def fertility_of(self, number, t, s):
        """Return the expected factor that a link adds to the probability of the number of links."""
        if self.fertility is None:
            return 1.0
        none, more = self.fertility
        source = self.pairs[number][0]
        others = [
            of_place
            for (pair, place), of_place in self.numbers.items()
            if self.pairs[pair][0][place] == source[s] and (pair, place) != (number, s)
        ]
        bare, total = (sum(each) for each in zip(*others, strict=True)) if others else (0.0, 0.0)
        a = SETTINGS.fertility_concentration
        none = (bare + a * none) / (len(others) + a)
        more = (total - (len(others) - bare) + a * more) / (total + a)

        def psi(k):
            return (1 - none) * (1 - more) * more ** (k - 1) if k else none

        own = self.own[number]
        mean = sum(p for (place, state), p in own.items() if state == s and place != t)
        poisson = [math.exp(-mean) * mean**k / math.factorial(k) for k in range(30)]
        expected = sum(p * math.log(psi(k + 1) / psi(k)) for k, p in enumerate(poisson))
        return math.exp(self.power * expected)

    def learn_fertility(self, links):
        self.numbers = {}
        for number, ((source, target), table) in enumerate(zip(self.pairs, links, strict=True)):
            for s in range(len(source)):
                of_word = [table[t, s] for t in range(len(target))]
                self.numbers[number, s] = math.prod(1 - p for p in of_word), sum(of_word)
        words = len(self.numbers)
        bare, total = (sum(each) for each in zip(*self.numbers.values(), strict=True))
        linked = words - bare
        self.fertility = (bare + 1) / (words + 2), (total - linked + 1) / (total + 2)

    def emission(self, number, t, s):
        source, target = self.pairs[number]
        if s is None:
            total = sum(self.frequency.values()) + len(self.words)
            prior = SETTINGS.null_concentration * (self.frequency[target[t]] + 1) / total
            own = self.own[number][t, None]
            total = sum(self.nulls.values()) - own + SETTINGS.null_concentration
            return (self.nulls[target[t]] - own + prior) / total
        own = self.own[number][t, s]
        one, other = source[s], target[t]
        base = 0.0
        for place in (0, -1):  # the first and the last of two characters
            alike = [(e, f) for e, f in self.counts if e[place] == one[place]]
            of_word = sum(self.counts[pair] for pair in alike) - own
            of_pair = sum(self.counts[e, f] for e, f in alike if f[place] == other[place]) - own
            affixes = len({word[place] for word in self.words})
            within = sum(self.frequency[f] + 1 for f in self.words if f[place] == other[place])
            base += (
                (max(of_pair, 0) + SETTINGS.sparsity)
                / (max(of_word, 0) + SETTINGS.sparsity * affixes)
                * (self.frequency[other] + 1)
                / within
                / len(SETTINGS.affixes)
            )
        of_pair = self.counts[one, other] - own
        of_word = sum(self.counts[one, word] for word in self.words) - own
        related = sum(self.related[one, word] for word in self.words)
        pseudo = self.related[one, other] + SETTINGS.concentration * base
        return (max(of_pair, 0) + pseudo) / (max(of_word, 0) + related + SETTINGS.concentration)

    def posterior(self, number):
        """Return link probabilities, and expected jumps and starts."""
        source, target = self.pairs[number]
        size = len(source)

        def near(state, t):
            return math.exp(
                -SETTINGS.diagonal * abs((state + 0.5) / size - (t + 0.5) / len(target))
            )

        links, jumps, starts = defaultdict(float), defaultdict(float), defaultdict(float)
        total = 0.0
        states = list(itertools.product((True, False), range(size)))
        for chain in itertools.product(states, repeat=len(target)):
            p, last = 1.0, None
            for t, (null, state) in enumerate(chain):
                p *= SETTINGS.null if null else 1 - SETTINGS.null
                p *= self.emission(number, t, None if null else state)
                p *= 1.0 if null else self.fertility_of(number, t, state)
                if last is None:
                    weights = [self.starts[min(1, place)] * near(place, t) for place in range(size)]
                    p *= weights[state] / sum(weights)
                elif null:
                    p *= state == last
                else:
                    weights = [self.jump(place - last) * near(place, t) for place in range(size)]
                    p *= weights[state] / sum(weights)
                last = state
            total += p
            starts[min(1, chain[0][1])] += p
            for t, (null, state) in enumerate(chain):
                links[t, None if null else state] += p
                if t and not null:
                    jumps[max(-1, min(1, state - chain[t - 1][1]))] += p
        return [
            defaultdict(float, {key: value / total for key, value in each.items()})
            for each in (links, jumps, starts)
        ]

    def jump(self, width):
        return self.jumps[max(-1, min(1, width))]

    def renew(self, found, links, markov, power):
        self.counts, self.nulls = defaultdict(float, self.prior), defaultdict(float)
        for number, (source, target) in enumerate(self.pairs):
            self.own[number] = links[number]
            for (t, s), value in links[number].items():
                if s is None:
                    self.nulls[target[t]] += value
                else:
                    self.counts[source[s], target[t]] += value
        self.power = power
        if power:
            self.learn_fertility(links)
        if markov:
            for name, place in (("jumps", 1), ("starts", 2)):
                table = getattr(self, name)
                for key in table:
                    table[key] = SETTINGS.jump_prior + sum(each[place][key] for each in found)


def agreed(mine, other):
    """Return links with the product of their probabilities in both directions."""
    return defaultdict(
        float, {(t, s): p if s is None else p * other[s, t] for (t, s), p in mine.items()}
    )


def written(independent, markov, directions, fertility, spelling, prior):
    turned = {(other, one): number for (one, other), number in prior.items()}
    models = [
        Written(PAIRS, prior, spelling),
        Written([pair[::-1] for pair in PAIRS], turned, spelling),
    ]
    models = models[:directions]
    for number in range(independent + markov):
        found = [[model.posterior(i) for i in range(len(PAIRS))] for model in models]
        links = [[each[0] for each in one] for one in found]
        if directions == 2 and number >= independent:
            forward, reverse = links
            links = [
                [agreed(*each) for each in zip(*sides, strict=True)]
                for sides in ((forward, reverse), (reverse, forward))
            ]
        for model, one, each in zip(models, found, links, strict=True):
            model.renew(one, each, number >= independent, fertility)
    return models


@pytest.mark.parametrize(
    ("independent", "markov", "directions", "fertility", "spelling"),
    [
        (0, 0, 2, 0.0, 0.0),
        (1, 0, 2, 0.0, 0.0),
        (2, 0, 1, 0.0, 0.0),
        (0, 1, 1, 0.0, 0.0),
        (1, 2, 1, 0.0, 0.0),
        (1, 2, 2, 0.0, 0.0),
        (1, 0, 1, 1.0, 0.0),
        (2, 0, 1, 0.5, 0.0),
        (1, 2, 2, 0.5, 0.0),
        # Characters are learnt after independent passes only.
        (0, 0, 2, 0.0, 4.0),
        (0, 3, 2, 0.5, 4.0),
    ],
)
@pytest.mark.parametrize("prior", [{}, PRIOR])
def test_against_all_alignments(
    tmp_path, independent, markov, directions, fertility, spelling, prior
):
    changes = {
        "independent": independent,
        "markov": markov,
        "fertility": fertility,
        "spelling": spelling,
    }
    settings = SETTINGS.model_copy(update=changes)
    fitted = fit(PAIRS, settings, tmp_path, directions=directions, prior=prior, echo=silent)
    assert len(fitted) == len(PAIRS)
    models = written(independent, markov, directions, fertility, spelling, prior)
    expected = [[model.posterior(i)[0] for i in range(len(PAIRS))] for model in models]
    for number, pair in enumerate(PAIRS):
        found = fitted[number]
        assert len(found) == directions
        for direction, table in enumerate(found):
            source, target = (len(side.split()) for side in (pair, pair[::-1])[direction])
            links = expected[direction][number]
            weights = [[links[t, s] for s in range(source)] for t in range(target)]
            null = [links[t, None] for t in range(target)]
            # Stored in half precision.
            torch.testing.assert_close(table.weights, torch.tensor(weights), atol=2e-3, rtol=2e-3)
            torch.testing.assert_close(table.null, torch.tensor(null), atol=2e-3, rtol=2e-3)
    for direction, (model, known) in enumerate(zip(fitted.models, models, strict=True)):
        names = [["", *side.names] for side in fitted.types][:: -1 if direction else 1]
        sides = (side.tolist() for side in model.lexicon.pairs.index.sides())
        words = [(names[0][one], names[1][other]) for one, other in zip(*sides, strict=True)]
        counts = dict(zip(words, model.lexicon.counts.tolist(), strict=True))
        linked = {pair: number for pair, number in known.counts.items() if number > 2e-3}
        assert all(counts.values())
        assert counts.keys() >= linked.keys()
        assert all(counts[p] == pytest.approx(linked[p], abs=2e-3, rel=2e-3) for p in linked)


def test_pairs_that_occur_once_are_treated_like_those_that_are_stored(tmp_path):
    """With learnt characters; a prior of nearly nothing makes the lexicon store all pairs."""
    together = {(e, f) for s, t in PAIRS for e in s.split() for f in t.split()}
    plain, stored = (
        fit(PAIRS, Settings(), folder, prior=dict.fromkeys(pairs, 1e-9), echo=silent)
        for pairs, folder in (((), tmp_path / "plain"), (together, tmp_path / "stored"))
        if not folder.mkdir()
    )
    for number in range(len(PAIRS)):
        for one, other in zip(plain[number], stored[number], strict=True):
            torch.testing.assert_close(one.weights, other.weights, atol=2e-3, rtol=2e-3)


def test_the_fit_does_not_depend_on_batches(tmp_path, monkeypatch):
    whole = fit(PAIRS, SETTINGS, tmp_path, echo=silent)
    tables = [whole[number] for number in range(len(PAIRS))]
    monkeypatch.setattr("pyro_align.word_alignment.hmm.text.CELLS", 6)
    parts = fit(PAIRS, SETTINGS, tmp_path, echo=silent)
    for number, expected in enumerate(tables):
        for one, other in zip(parts[number], expected, strict=True):
            torch.testing.assert_close(one.weights, other.weights, atol=2e-3, rtol=2e-3)


def test_a_word_that_occurs_once_does_not_collect_links(tmp_path):
    """ "q" occurs once, next to words whose translations are known from other sentences."""
    pairs = [("a b", "x y")] * 5 + [("b c", "y z")] * 5 + [("a q c", "x z v")]
    fitted = fit(pairs, Settings(spelling=0.0), tmp_path, echo=silent)
    forward, _ = fitted[10]
    assert forward.weights[:2].argmax(1).tolist() == [0, 2]
    assert forward.weights[2].argmax() == 1


def test_progress_is_reported_and_a_text_without_pairs_is_rejected(tmp_path):
    told = []
    fit(PAIRS, Settings.fast(), tmp_path, echo=told.append)
    assert len(told) == 3
    assert all(line.startswith(f"pass {n} of 3: perplexity ") for n, line in enumerate(told, 1))
    with pytest.raises(DataError, match=r"in\.txt: no sentence pair has words"):
        fit([], Settings(), tmp_path, echo=silent, path=tmp_path / "in.txt")


def test_links_are_the_same_with_two_processes(tmp_path):
    one, two = (
        fit(PAIRS * 3, Settings(), tmp_path / str(n), processes=n, echo=silent)
        for n in (1, 2)
        if not (tmp_path / str(n)).mkdir()
    )
    for number in range(len(one)):
        for mine, other in zip(one[number], two[number], strict=True):
            assert torch.equal(mine.weights, other.weights)
            assert torch.equal(mine.null, other.null)
            assert mine.gain == other.gain
