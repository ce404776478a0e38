"""Contracts: test classes for the Pyro program of a model or guide.

Inherit from a contract and create a small model or guide in ``create``; pytest then collects the
tests of the contract.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive

from pyro_align.data.batch import EOS, TextBatch
from pyro_align.decoding import BeamSearch
from pyro_align.guides import NoGuide, PriorGuide
from pyro_align.inference import EnumeratedELBO, ExactMarginal
from pyro_align.inference.kinds import alignment_kind, go_together, other_sites
from pyro_align.inference.traces import ALIGNMENT, latent_sites
from pyro_align.testing.gradients import evidence, gradient, parameters
from pyro_align.testing.small import padded, random_batch
from pyro_align.testing.stock import (
    Given,
    alignment_weights,
    assert_goes_down,
    check_finite,
    check_plates,
    check_weights,
    fitting,
    stock,
    train,
)

SMALL = pytest.mark.parametrize(
    ("sources", "targets"), [((1,), (1,)), ((4,), (3,)), ((2, 3), (1, 1))]
)
"""Lengths of the sources and targets of small batches."""


class Contract:
    """Base class of contracts: the batches that models and guides are tested on.

    By default they are sentence pairs. A subclass for a network that reads something else overrides
    :meth:`batch` and :meth:`padded`, and :attr:`decodes` if there is no target prefix.
    """

    decodes: ClassVar[bool] = True
    """Whether a beam search can decode targets, each token given those before it."""

    @pytest.fixture(autouse=True)
    def _fresh(self) -> None:
        """Clear Pyro's parameter store and seed the random generators."""
        pyro.clear_param_store()
        pyro.set_rng_seed(0)

    def batch(self, sources: Sequence[int] = (3, 4, 1), targets: Sequence[int] = (4, 2, 3)) -> Any:
        """Return a small random batch, always the same for the same lengths.

        Args:
            sources: number of source positions of each row.
            targets: number of target positions, which a network with a fixed number ignores.
        """
        return random_batch(sources, targets)

    def padded(self, batch: Any, source: int = 0, target: int = 0) -> Any:
        """Return the batch with additional padding, as far as its network supports it."""
        return padded(batch, source, target)

    def _check_drawn(self, drawn: Mapping[str, Any], batch: Any, number: int) -> None:
        """Assert that samples of all sites have the shapes of their plates."""
        for name, value in drawn.items():
            positions = batch.target.shape[1] if name in (ALIGNMENT, "tokens") else 1
            assert value.shape[:3] == (number, len(batch), positions)

    def _needs_prefix(self) -> None:
        """Skip a test of decoding if there is no target prefix."""
        if not self.decodes:
            pytest.skip("the network has one target position, and no target prefix")


class ModelContract(Contract, ABC):
    """Tests of an :class:`AlignmentModel`; a subclass defines :meth:`create`."""

    @abstractmethod
    def create(self, *, seed: int = 0, **settings: Any) -> Any:
        """Return a small double-precision model; ``settings`` go to :class:`NetworkConfig`."""

    def guide(self, model: Any) -> Any:
        """Return the guide for :meth:`test_small_batches`."""
        return PriorGuide(model) if model.latents else NoGuide(model)

    def test_sites_and_plates(self) -> None:
        """``alignment`` and ``tokens`` are in both plates, others of the model in ``sentences``."""
        model, batch = self.create(), self.padded(self.batch((3, 4, 2)), source=1, target=2)
        trace = poutine.trace(model).get_trace(batch)
        trace.compute_log_prob()
        assert set(latent_sites(trace)) == set(model.latents)
        assert trace.observation_nodes == ["tokens"]
        for name in {"tokens", *model.latents}:
            check_plates(trace.nodes[name], batch)
        assert torch.equal(trace.nodes["tokens"]["value"], batch.target)
        assert torch.equal(trace.nodes["_RETURN"]["value"], batch.target)

    def test_predictive(self) -> None:
        """``Predictive`` draws every site in its support."""
        model, batch = self.create(), self.batch()
        sites = ("tokens", *model.latents)
        for parallel in (False, True):
            drawn = Predictive(
                poutine.uncondition(model), num_samples=4, return_sites=sites, parallel=parallel
            )(batch)
            assert set(drawn) == set(sites)
            if alignment_kind(model.latents) == "markov":
                drawn["alignment"] = drawn["alignment"].squeeze(2)
            self._check_drawn(drawn, batch, 4)
        assert drawn["tokens"].max() < model.networks.emission.weight.shape[0]
        if alignment_kind(model.latents) == "simplex":
            check_weights(drawn["alignment"], batch)
        elif "alignment" in drawn:
            longest = batch.source_lengths.unsqueeze(-1).expand_as(batch.target)
            assert (drawn["alignment"] < longest).all()

    def values(self, model: Any, batch: Any) -> dict[str, Any]:
        """Return the values of the latent variables of sentences that ``states(batch)`` reads."""
        return {}

    def marginalised(self, model: Any) -> Any:
        """Return the guide for :meth:`test_stock_svi_trains`: none, if Pyro can marginalise."""
        return NoGuide(model)

    def test_next_token_matches_the_program(self) -> None:
        """Stock Pyro's marginal likelihood and its gradient are those of ``next_token``."""
        model, batch = self.create(), self.padded(self.batch(), source=1, target=1)
        given = Given(model, self.values(model, batch))
        elbo, program, guide = next(stock(given, NoGuide(given)))
        loss = elbo.differentiable_loss(program, guide, batch)
        torch.testing.assert_close(-loss, evidence(model, batch))
        torch.testing.assert_close(-gradient(loss, model), gradient(evidence(model, batch), model))

    def test_beam_search_scores_match_the_program(self) -> None:
        """A beam search's log probability is the marginal likelihood under teacher forcing.

        A model on the simplex has no closed form of it; there it is that of ``next_token``.
        """
        self._needs_prefix()
        model = self.create().eval()
        sources = [[4, 5, 6, EOS], [7, EOS]]
        search = BeamSearch(model, beam=2, n_best=2, max_length_ratio=1.0, max_length_offset=2)
        for source, found in zip(sources, search.search(sources), strict=True):
            for hypothesis in found:
                batch = TextBatch.from_ids([source], [hypothesis.tokens])
                given = Given(model, self.values(model, batch))
                elbo, *programs = next(stock(given, NoGuide(given)))
                expected = (
                    evidence(model, batch).item()
                    if alignment_kind(model.latents) == "simplex"
                    else -elbo.loss(*programs, batch)
                )
                assert hypothesis.log_probability == pytest.approx(expected)

    def test_gradient_matches_finite_differences(self) -> None:
        """The gradient of the evidence equals its central difference along a random direction."""
        model, batch = self.create(), self.batch()
        exact = gradient(evidence(model, batch), model)
        direction = torch.randn(exact.shape, generator=torch.Generator().manual_seed(0)).double()
        values = []
        for step in (1e-5, -1e-5):
            moved = self.create()
            vector = torch.nn.utils.parameters_to_vector(moved.parameters()).detach()
            torch.nn.utils.vector_to_parameters(vector + step * direction, moved.parameters())
            values.append(evidence(moved, batch).item())
        # The embedding of PAD is neither trained nor read.
        assert (values[0] - values[1]) / 2e-5 == pytest.approx((exact @ direction).item(), rel=1e-6)

    def test_next_token_is_a_distribution(self) -> None:
        """``next_token`` sums to one over the vocabulary, for every ``top_k``."""
        model, batch = self.create(), self.batch()
        states = model.states(batch)
        for top_k in (None, 1, 2, 100):
            total = model.next_token(states, top_k).logsumexp(-1)
            torch.testing.assert_close(total, torch.zeros_like(total))

    def test_top_k_of_all_positions_is_the_exact_marginal(self) -> None:
        """``top_k`` of all source positions or more is the exact marginal."""
        model, batch = self.create(), self.batch()
        states = model.states(batch)
        width = batch.source_mask.shape[1]
        for top_k in (width, width + 1):
            torch.testing.assert_close(model.next_token(states, top_k), model.next_token(states))

    def test_predictions_depend_only_on_previous_tokens(self) -> None:
        """``next_token`` at a position does not depend on later target tokens."""
        self._needs_prefix()
        model, batch = self.create(), self.batch((3, 4), (4, 4))
        before = model.next_token(model.states(batch))
        changed = 4 + (batch.target[:, 2:] - 3) % 5
        assert (changed != batch.target[:, 2:]).all()
        batch.target[:, 2:] = changed
        after = model.next_token(model.states(batch))
        assert torch.equal(after[:, :3], before[:, :3])
        assert (after[:, 3] != before[:, 3]).any()

    def test_stock_svi_trains(self) -> None:
        """The loss of stock SVI goes down."""
        model = self.create()
        elbo, program, guide = next(stock(model, self.marginalised(model)))
        assert_goes_down(train(elbo, program, guide, self.batch()))

    @SMALL
    def test_small_batches(self, sources: tuple[int, ...], targets: tuple[int, ...]) -> None:
        """Losses and gradients are finite for the smallest batches."""
        model, batch = self.create(), self.batch(sources, targets)
        check_finite(model, self.guide(model), batch)

    def test_state_dict_round_trip(self) -> None:
        """``state_dict`` holds everything that the evidence depends on."""
        model, other, batch = self.create(seed=0), self.create(seed=7), self.batch()
        assert evidence(model, batch) != evidence(other, batch)
        other.load_state_dict(model.state_dict())
        assert torch.equal(evidence(model, batch), evidence(other, batch))

    def test_prior_does_not_depend_on_the_current_token(self) -> None:
        """Attention scores at a position do not depend on the token at that position."""
        self._needs_prefix()
        model, batch = self.create(), self.batch((3, 4), (4, 4))
        before = model.states(batch).scores
        batch.target[:, 1] = 4 + (batch.target[:, 1] - 3) % 5
        after = model.states(batch).scores
        assert torch.equal(after[:, :2], before[:, :2])
        assert (after[:, 2] != before[:, 2]).any()


class GuideContract(Contract, ABC):
    """Tests of an :class:`AlignmentGuide`.

    A subclass defines :meth:`create_model`, :meth:`create` and :attr:`has_parameters`.
    """

    has_parameters: ClassVar[bool]
    """Whether the guide has parameters of its own."""

    @abstractmethod
    def create_model(self, *, seed: int = 0) -> Any:
        """Return a small double-precision model for the guide."""

    @abstractmethod
    def create(self, model: Any, *, seed: int = 1) -> Any:
        """Return a small double-precision guide for ``model``; parameters depend on ``seed``."""

    def pair(self) -> tuple[Any, Any]:
        """Return a model and a guide for it."""
        model = self.create_model()
        return model, self.create(model)

    def test_sites_and_plates(self) -> None:
        """``alignment`` is in both plates, others in ``sentences``, and nothing is observed."""
        model, guide = self.pair()
        batch = self.padded(self.batch((3, 4, 2)), source=1, target=2)
        trace = poutine.trace(guide).get_trace(batch)
        trace.compute_log_prob()
        assert guide.model is model
        assert set(latent_sites(trace)) == set(guide.latents)
        assert not trace.observation_nodes
        for site in latent_sites(trace).values():
            check_plates(site, batch)

    def test_guide_does_not_own_model_parameters(self) -> None:
        """The guide registers its own parameters only, not those of the model."""
        model, guide = self.pair()
        assert not set(map(id, model.parameters())) & set(map(id, guide.parameters()))
        assert not set(map(id, model.modules())) & set(map(id, guide.modules()))
        assert bool(list(guide.parameters())) == self.has_parameters
        own = [*guide.named_parameters(), *guide.named_buffers()]
        assert set(guide.state_dict()) == {name for name, _ in own}

    def test_no_alignment_to_padding(self) -> None:
        """Padding has probability 0, and every source position has positive probability."""
        _, guide = self.pair()
        batch = self.padded(self.batch(), source=2)
        sites = latent_sites(poutine.trace(guide).get_trace(batch))
        for site in (sites[name] for name in sites if name == ALIGNMENT):
            probs = alignment_weights(site)
            padding = ~batch.source_mask.unsqueeze(1).expand_as(probs)
            assert (probs[padding] == 0).all()
            assert (probs[~padding] > 0).all()

    def test_results_do_not_depend_on_padding(self) -> None:
        """Alignment weights do not depend on padding."""
        _, guide = self.pair()
        batch = self.batch()
        narrow = poutine.trace(guide).get_trace(batch)
        wide = poutine.trace(guide).get_trace(self.padded(batch, source=2, target=3))
        (targets, sources), mask = (
            (batch.target.shape[1], batch.source_mask.shape[1]),
            batch.target_mask,
        )
        for name, site in latent_sites(narrow).items():
            probs, expected = alignment_weights(wide.nodes[name]), alignment_weights(site)
            if name == ALIGNMENT:
                probs, expected = probs[:, :targets, :sources][mask], expected[mask]
            torch.testing.assert_close(probs, expected, rtol=1e-10, atol=1e-12)

    def test_predictive(self) -> None:
        """``Predictive`` draws the guide's sites."""
        model, guide = self.pair()
        batch = self.batch()
        program = fitting(model, guide)
        names = [*{"alignment": None, **model.latents}]
        drawn = Predictive(program, guide=guide, num_samples=3, return_sites=names)(batch)
        assert set(drawn) == guide.latents.keys() | model.latents.keys()
        if alignment_kind(guide.latents) == "markov":
            drawn["alignment"] = drawn["alignment"].squeeze(2)
        self._check_drawn(drawn, batch, 3)

    def test_bound_is_below_the_evidence(self) -> None:
        """The ELBO is below the log evidence, and equal to it without a latent site."""
        model, guide = self.pair()
        if other_sites(model.latents):
            pytest.skip("the evidence is an integral over the latent variable of the sentence")
        batch = self.batch()
        elbo, *programs = next(stock(model, guide))
        bound, exact = -elbo.loss(*programs, batch), evidence(model, batch).item()
        if not guide.latents:
            assert bound == pytest.approx(exact, rel=1e-12)
        else:
            assert bound < exact

    def test_stock_svi_trains_model_and_guide(self) -> None:
        """The loss of every stock ELBO goes down and every parameter moves."""
        for index in range(len(list(stock(*self.pair())))):
            pyro.clear_param_store()
            model, guide = self.pair()
            before = [p.detach().clone() for p in parameters(model, guide)]
            assert_goes_down(train(*list(stock(model, guide))[index], self.batch()))
            after = parameters(model, guide)
            assert not any(torch.equal(*each) for each in zip(before, after, strict=True))

    def test_exact_objective_does_not_train_the_model_through_the_guide(self) -> None:
        """``exact`` gives the model the gradient of the evidence and the guide that of the ELBO."""
        model, guide = self.pair()
        if not go_together(model.latents, guide.latents, EnumeratedELBO.pairs):
            pytest.skip("no exact objective takes a guide of this kind")
        batch = self.batch()
        loss = ExactMarginal().differentiable_loss(model, guide, batch)
        torch.testing.assert_close(gradient(loss, model), -gradient(evidence(model, batch), model))
        if self.has_parameters:
            bound = EnumeratedELBO().differentiable_loss(model, guide, batch)
            torch.testing.assert_close(gradient(loss, guide), gradient(bound, guide))
            torch.testing.assert_close(loss, bound)

    @SMALL
    def test_small_batches(self, sources: tuple[int, ...], targets: tuple[int, ...]) -> None:
        """Losses and gradients are finite for the smallest batches."""
        check_finite(*self.pair(), self.batch(sources, targets))

    def test_state_dict_round_trip(self) -> None:
        """``state_dict`` holds everything that the alignment weights depend on."""
        model, batch = self.create_model(), self.batch()
        guide, other = self.create(model, seed=1), self.create(model, seed=2)

        def probs(guide: Any) -> list[torch.Tensor]:
            trace = poutine.trace(guide).get_trace(batch)
            return [alignment_weights(site) for site in latent_sites(trace).values()]

        if self.has_parameters:
            assert not torch.equal(*probs(guide), *probs(other))
        other.load_state_dict(guide.state_dict())
        for ours, theirs in zip(probs(guide), probs(other), strict=True):
            assert torch.equal(ours, theirs)
