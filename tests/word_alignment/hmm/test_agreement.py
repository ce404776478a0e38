"""Agreement against enumeration of all chains of short sentence pairs."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from pyro_align.distributions import MarkovMixture
from pyro_align.word_alignment.hmm import Observed, Projection, Words, product, project

SOURCE, TARGET, NULL = 2, 3, 0.2
STEPS = 200


class Chains:
    """All chains of one direction, with their log weights and links."""

    def __init__(self, seed, positions, states):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return 1.5 * torch.randn(*shape, generator=generator, dtype=torch.float64)

        initial, transition = normal(1, states).log_softmax(-1), normal(1, states, states)
        transition = transition.log_softmax(-1)
        scores = normal(1, positions, 1 + states)
        words = Words(torch.ones(1, states).long(), torch.ones(1, positions).long())
        components = torch.distributions.Categorical(logits=scores[..., None].expand(-1, -1, -1, 2))
        chain = MarkovMixture(initial, transition, NULL, components)
        self.observed = Observed(words, chain, scores)
        logs, links = [], []
        each = list(itertools.product((True, False), range(states)))
        for path in itertools.product(each, repeat=positions):
            log, last, table = 0.0, None, np.zeros((positions, states))
            for t, (null, state) in enumerate(path):
                if last is None:
                    log += initial[0, state].item()
                elif null:
                    log += 0.0 if state == last else -math.inf
                else:
                    log += transition[0, last, state].item()
                log += math.log(NULL if null else 1 - NULL)
                log += scores[0, t, 0 if null else 1 + state].item()
                table[t, state] = not null
                last = state
            if log > -math.inf:
                logs.append(log)
                links.append(table)
        self.logs, self.links = np.array(logs), np.array(links)
        self.log_evidence = np.logaddexp.reduce(self.logs)
        self.logs -= self.log_evidence

    def tilted(self, shift):
        """Return log probabilities of chains with shifted link scores, and their log sum."""
        logs = self.logs + (self.links * shift).sum((1, 2))
        total = np.logaddexp.reduce(logs)
        return logs - total, total


def optimum(forward, reverse, price, most):
    """Return expected links of the optimal pair, and the objective including penalties.

    The dual is minimised by a general method, and must be as high as the primal is low.
    """
    cells = TARGET * SOURCE

    def shifts(dual):
        table = dual[:cells].reshape(TARGET, SOURCE)
        of_source, of_target = dual[cells : cells + SOURCE], dual[cells + SOURCE :]
        return table + of_source, of_target - table.T

    def objective(dual):
        value, expected = 0.0, []
        for chains, shift in zip((forward, reverse), shifts(dual), strict=True):
            logs, total = chains.tilted(shift)
            value += total
            expected.append(np.tensordot(np.exp(logs), chains.links, 1))
        first, second = expected
        gradient = [(first - second.T).ravel()]
        if most is not None:
            value -= most * dual[cells:].sum()
            gradient += [first.sum(0) - most, second.sum(0) - most]
        else:
            gradient.append(np.zeros(SOURCE + TARGET))
        return value, np.concatenate(gradient)

    lowest = -price if most is not None else 0.0
    bounds = [(-price, price)] * cells + [(lowest, 0.0)] * (SOURCE + TARGET)
    start = np.zeros(cells + SOURCE + TARGET)
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    expected, distance = [], 0.0
    for chains, shift in zip((forward, reverse), shifts(found.x), strict=True):
        logs, _ = chains.tilted(shift)
        expected.append(np.tensordot(np.exp(logs), chains.links, 1))
        distance += (np.exp(logs) * (logs - chains.logs)).sum()
    first, second = expected
    distance += price * abs(first - second.T).sum()
    if most is not None:
        distance += price * sum(np.maximum(each.sum(0) - most, 0).sum() for each in expected)
    assert distance == pytest.approx(-found.fun, rel=1e-5)
    return expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("price", "most"), [(0.2, None), (2.0, None), (0.5, 0.6), (2.0, 0.7)])
def test_the_projection_is_optimal(seed, price, most):
    forward = Chains(seed, TARGET, SOURCE)
    reverse = Chains(seed + 100, SOURCE, TARGET)
    observed = [forward.observed, reverse.observed]
    found = [each.posterior() for each in observed]
    for chains, each in zip((forward, reverse), found, strict=True):
        plain = np.tensordot(np.exp(chains.logs), chains.links, 1)
        torch.testing.assert_close(each.states[0, :, 1:], torch.from_numpy(plain))
    projected = project(observed, found, Projection(price=price, most=most, steps=STEPS))
    expected = optimum(forward, reverse, price, most)
    for each, links in zip(projected, expected, strict=True):
        torch.testing.assert_close(
            each.states[0, :, 1:], torch.from_numpy(links), atol=1e-4, rtol=0.0
        )


def test_with_shifted_scores_the_log_probability_is_a_lower_bound():
    """The evidence lower bound of the chains with shifted scores: log p(y) − KL(q ‖ p(z | y))."""
    chains = Chains(0, TARGET, SOURCE)
    shift = torch.linspace(-1.0, 2.0, TARGET * SOURCE, dtype=torch.float64).reshape(TARGET, SOURCE)
    logs, _ = chains.tilted(shift.numpy())
    divergence = (np.exp(logs) * (logs - chains.logs)).sum()
    assert divergence > 0.05
    for added, expected in ((None, 0.0), (shift, divergence)):
        found = chains.observed.posterior(None if added is None else added.unsqueeze(0))
        assert found.log_prob.item() == pytest.approx(chains.log_evidence - expected, rel=1e-6)


def test_zero_steps_return_the_posteriors():
    observed = [Chains(0, TARGET, SOURCE).observed, Chains(1, SOURCE, TARGET).observed]
    found = [each.posterior() for each in observed]
    for one, other in zip(project(observed, found, Projection(steps=0)), found, strict=True):
        assert one.states is other.states


def test_the_product_keeps_the_null_word():
    forward = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]]])
    reverse = torch.tensor([[[0.0, 1.0, 0.0], [0.5, 0.25, 0.25]]])
    first, second = product(forward, reverse)
    assert first.tolist() == [[[0.5, 0.5, 0.0], [0.0, 0.0, 0.1875]]]
    assert second.tolist() == [[[0.0, 0.5, 0.0], [0.5, 0.0, 0.1875]]]
