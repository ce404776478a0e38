"""What every model and every guide must keep to.

A test class inherits a contract and supplies a factory; all the rest is checked from outside,
through Pyro alone.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import (
    SVI,
    Predictive,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
    config_enumerate,
)
from pyro.poutine.util import site_is_subsample
from support import (
    collected_gradient,
    evidence,
    gradient,
    padded,
    parameters,
    random_batch,
    repeated,
)

from pyro_align.batch import Batch
from pyro_align.guides import NoGuide, PriorGuide
from pyro_align.inference import relaxed
from pyro_align.inference.plates import MAX_PLATE_NESTING

SITES = {
    "none": set(),
    "categorical": {"alignment"},
    "simplex": {"alignment"},
    "relaxed": {"alignment"},
}
"""Latent sites by the kind of latent variable a program declares."""


def latent_sites(trace: Any) -> dict[str, Any]:
    """Sites drawn at random, plates left out."""
    return {
        name: site
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not site["is_observed"] and not site_is_subsample(site)
    }


def check_plates(site: Any, batch: Batch) -> None:
    """The site lies in ``sentences`` and ``positions`` and padding counts for nothing."""
    frames = {frame.name: (frame.dim, frame.size) for frame in site["cond_indep_stack"]}
    assert frames == {
        "sentences": (-2, batch.target.shape[0]),
        "positions": (-1, batch.target.shape[1]),
    }
    assert site["fn"].batch_shape == batch.target.shape
    assert (site["log_prob"][~batch.target_mask] == 0).all()
    if site["fn"].support.is_discrete:
        assert site["fn"].event_shape == ()
        assert (site["log_prob"][batch.target_mask] < 0).all()
    else:
        assert site["fn"].event_shape == batch.source.shape[1:]
        assert (site["log_prob"][batch.target_mask] != 0).all()
        check_weights(site["value"], batch)


def check_weights(value: Any, batch: Batch) -> None:
    """Points of the simplex over the source positions that exist."""
    padding = ~batch.source_mask.unsqueeze(1).expand_as(value)
    assert (value[padding] == 0).all()
    assert (value >= 0).all()
    torch.testing.assert_close(value.sum(-1), torch.ones_like(value[..., 0]))


def alignment_weights(site: Any) -> Any:
    """How much of the alignment falls on every source position."""
    fn = site["fn"]
    return fn.probs if hasattr(fn, "probs") else fn.mean


def enumerated(model: Any, guide: Any) -> tuple[Any, Any]:
    """Both programs, the alignment enumerated in the one that decides over it."""
    if guide.latent == "none":
        return config_enumerate(model), guide
    return model, config_enumerate(guide)


def fitting(model: Any, guide: Any) -> Any:
    """The model, its alignment relaxed where the guide's is."""
    return relaxed(model, guide.relax) if guide.latent == "relaxed" else model


def stock(model: Any, guide: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Every ELBO of Pyro's that fits, with the model and guide to give it."""
    nesting = MAX_PLATE_NESTING
    if "simplex" in (model.latent, guide.latent):
        yield TraceMeanField_ELBO(max_plate_nesting=nesting), model, guide
        yield Trace_ELBO(max_plate_nesting=nesting), model, guide
        return
    if guide.latent == "relaxed":
        yield Trace_ELBO(max_plate_nesting=nesting), fitting(model, guide), guide
        return
    has_latent = model.latent != "none"
    exact = TraceEnum_ELBO(max_plate_nesting=nesting, strict_enumeration_warning=has_latent)
    yield exact, *enumerated(model, guide)
    # Pyro draws no alignment that the guide leaves out.
    if model.latent == guide.latent:
        for elbo in (Trace_ELBO, TraceGraph_ELBO):
            yield elbo(max_plate_nesting=nesting), model, guide


def train(elbo: Any, model: Any, guide: Any) -> list[float]:
    """Losses of stock SVI on one batch, over and over."""
    batch = repeated(random_batch(), 4)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), elbo)
    return [svi.step(batch) for _ in range(25)]


def assert_goes_down(losses: list[float]) -> None:
    """The last losses are clearly lower than the first."""
    first, last = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    assert last < 0.8 * first, (first, last)


def check_finite(model: Any, guide: Any, batch: Batch) -> None:
    """Losses and gradients of every stock ELBO are numbers."""
    for elbo, *programs in stock(model, guide):
        assert math.isfinite(elbo.loss_and_grads(*programs, batch))
        assert torch.isfinite(collected_gradient(model, guide)).all()


SMALL = pytest.mark.parametrize(
    ("sources", "targets"), [((1,), (1,)), ((4,), (3,)), ((2, 3), (1, 1))]
)
"""One sentence of one position, one sentence, one position."""


class ModelContract(ABC):
    """Contract of an :class:`AlignmentModel`."""

    @abstractmethod
    def create(self, *, seed: int = 0, **settings: Any) -> Any:
        """A small double-precision model; ``settings`` are those of its networks."""

    def guide(self, model: Any) -> Any:
        """The simplest guide that fits."""
        return NoGuide(model) if model.latent == "none" else PriorGuide(model)

    def test_sites_and_plates(self):
        model, batch = self.create(), padded(random_batch((3, 4, 2)), source=1, target=2)
        trace = poutine.trace(model).get_trace(batch)
        trace.compute_log_prob()
        assert set(latent_sites(trace)) == SITES[model.latent]
        assert trace.observation_nodes == ["tokens"]
        for name in {"tokens", *SITES[model.latent]}:
            check_plates(trace.nodes[name], batch)
        assert torch.equal(trace.nodes["tokens"]["value"], batch.target)
        assert torch.equal(trace.nodes["_RETURN"]["value"], batch.target)

    def test_predictive(self):
        model, batch = self.create(), random_batch()
        sites = ("tokens", *SITES[model.latent])
        for parallel in (False, True):
            drawn = Predictive(
                poutine.uncondition(model), num_samples=4, return_sites=sites, parallel=parallel
            )(batch)
            assert set(drawn) == set(sites)
            for value in drawn.values():
                assert value.shape[:3] == (4, *batch.target.shape)
        assert drawn["tokens"].max() < model.networks.emission.weight.shape[0]
        if model.latent == "simplex":
            check_weights(drawn["alignment"], batch)
        elif "alignment" in drawn:
            longest = batch.source_lengths.unsqueeze(-1).expand_as(batch.target)
            assert (drawn["alignment"] < longest).all()

    def marginalised(self, model: Any) -> Any:
        """The guide that leaves most to stock Pyro."""
        return NoGuide(model)

    def test_next_token_is_what_the_program_says(self):
        model, batch = self.create(), padded(random_batch(), source=1, target=1)
        elbo, program, guide = next(stock(model, NoGuide(model)))
        loss = elbo.differentiable_loss(program, guide, batch)
        torch.testing.assert_close(-loss, evidence(model, batch))
        torch.testing.assert_close(-gradient(loss, model), gradient(evidence(model, batch), model))

    def test_the_gradient_is_that_of_finite_differences(self):
        model, batch = self.create(), random_batch()
        exact = gradient(evidence(model, batch), model)
        direction = torch.randn(exact.shape, generator=torch.Generator().manual_seed(0)).double()
        values = []
        for step in (1e-5, -1e-5):
            moved = self.create()
            vector = torch.nn.utils.parameters_to_vector(moved.parameters()).detach()
            torch.nn.utils.vector_to_parameters(vector + step * direction, moved.parameters())
            values.append(evidence(moved, batch).item())
        # Position PAD of an embedding is not trained, but never read either.
        assert (values[0] - values[1]) / 2e-5 == pytest.approx((exact @ direction).item(), rel=1e-6)

    def test_next_token_is_a_distribution(self):
        model, batch = self.create(), random_batch()
        states = model.states(batch)
        for top_k in (None, 1, 2, 100):
            total = model.next_token(states, top_k).logsumexp(-1)
            torch.testing.assert_close(total, torch.zeros_like(total))

    def test_all_source_positions_are_the_best_of_many(self):
        model, batch = self.create(), random_batch()
        states = model.states(batch)
        width = batch.source.shape[1]
        for top_k in (width, width + 1):
            torch.testing.assert_close(model.next_token(states, top_k), model.next_token(states))

    def test_a_prediction_knows_the_past_alone(self):
        model, batch = self.create(), random_batch((3, 4), (4, 4))
        before = model.next_token(model.states(batch))
        changed = 4 + (batch.target[:, 2:] - 3) % 5
        assert (changed != batch.target[:, 2:]).all()
        batch.target[:, 2:] = changed
        after = model.next_token(model.states(batch))
        assert torch.equal(after[:, :3], before[:, :3])
        assert (after[:, 3] != before[:, 3]).any()

    def test_stock_svi_trains(self):
        model = self.create()
        elbo, program, guide = next(stock(model, self.marginalised(model)))
        assert_goes_down(train(elbo, program, guide))

    @SMALL
    def test_small_batches(self, sources, targets):
        model, batch = self.create(), random_batch(sources, targets)
        check_finite(model, self.guide(model), batch)

    def test_state_dict_round_trip(self):
        model, other, batch = self.create(seed=0), self.create(seed=7), random_batch()
        assert evidence(model, batch) != evidence(other, batch)
        other.load_state_dict(model.state_dict())
        assert torch.equal(evidence(model, batch), evidence(other, batch))

    def test_the_prior_does_not_see_the_token_it_explains(self):
        model, batch = self.create(), random_batch((3, 4), (4, 4))
        before = model.states(batch).scores
        batch.target[:, 1] = 4 + (batch.target[:, 1] - 3) % 5
        after = model.states(batch).scores
        assert torch.equal(after[:, :2], before[:, :2])
        assert (after[:, 2] != before[:, 2]).any()


class GuideContract(ABC):
    """Contract of an :class:`AlignmentGuide`."""

    has_parameters: ClassVar[bool]
    """Whether there is something to train in the guide itself."""

    @abstractmethod
    def create_model(self, *, seed: int = 0) -> Any:
        """A small double-precision model that the guide is for."""

    @abstractmethod
    def create(self, model: Any, *, seed: int = 1) -> Any:
        """A small double-precision guide on a model."""

    def pair(self) -> tuple[Any, Any]:
        """A model and a guide on it."""
        model = self.create_model()
        return model, self.create(model)

    def test_sites_and_plates(self):
        model, guide = self.pair()
        batch = padded(random_batch((3, 4, 2)), source=1, target=2)
        trace = poutine.trace(guide).get_trace(batch)
        trace.compute_log_prob()
        assert guide.model is model
        assert set(latent_sites(trace)) == SITES[guide.latent]
        assert not trace.observation_nodes
        for site in latent_sites(trace).values():
            check_plates(site, batch)
            assert torch.equal(trace.nodes["_RETURN"]["value"], site["value"])

    def test_the_models_parameters_are_the_models_own(self):
        model, guide = self.pair()
        assert not set(map(id, model.parameters())) & set(map(id, guide.parameters()))
        assert not set(map(id, model.modules())) & set(map(id, guide.modules()))
        assert bool(list(guide.parameters())) == self.has_parameters
        own = [*guide.named_parameters(), *guide.named_buffers()]
        assert set(guide.state_dict()) == {name for name, _ in own}

    def test_no_alignment_to_padding(self):
        _, guide = self.pair()
        batch = padded(random_batch(), source=2)
        for site in latent_sites(poutine.trace(guide).get_trace(batch)).values():
            probs = alignment_weights(site)
            padding = ~batch.source_mask.unsqueeze(1).expand_as(probs)
            assert (probs[padding] == 0).all()
            assert (probs[~padding] > 0).all()

    def test_more_padding_changes_nothing(self):
        _, guide = self.pair()
        batch = random_batch()
        narrow = poutine.trace(guide).get_trace(batch)
        wide = poutine.trace(guide).get_trace(padded(batch, source=2, target=3))
        (targets, sources), mask = (batch.target.shape[1], batch.source.shape[1]), batch.target_mask
        for name, site in latent_sites(narrow).items():
            probs = alignment_weights(wide.nodes[name])[:, :targets, :sources]
            expected = alignment_weights(site)[mask]
            torch.testing.assert_close(probs[mask], expected, rtol=1e-10, atol=1e-12)

    def test_predictive(self):
        model, guide = self.pair()
        batch = random_batch()
        program = fitting(model, guide)
        drawn = Predictive(program, guide=guide, num_samples=3, return_sites=["alignment"])(batch)
        assert set(drawn) == SITES[guide.latent] | SITES[model.latent]
        assert all(value.shape[:3] == (3, *batch.target.shape) for value in drawn.values())

    def test_its_bound_lies_below_the_evidence(self):
        model, guide = self.pair()
        batch = random_batch()
        elbo, *programs = next(stock(model, guide))
        bound, exact = -elbo.loss(*programs, batch), evidence(model, batch).item()
        if guide.latent == "none":
            assert bound == pytest.approx(exact, rel=1e-12)
        else:
            assert bound < exact

    def test_stock_svi_trains_model_and_guide(self):
        for index in range(len(list(stock(*self.pair())))):
            pyro.clear_param_store()
            model, guide = self.pair()
            before = [p.detach().clone() for p in parameters(model, guide)]
            assert_goes_down(train(*list(stock(model, guide))[index]))
            after = parameters(model, guide)
            assert not any(torch.equal(*each) for each in zip(before, after, strict=True))

    @SMALL
    def test_small_batches(self, sources, targets):
        check_finite(*self.pair(), random_batch(sources, targets))

    def test_state_dict_round_trip(self):
        model, batch = self.create_model(), random_batch()
        guide, other = self.create(model, seed=1), self.create(model, seed=2)

        def probs(guide: Any) -> list[torch.Tensor]:
            trace = poutine.trace(guide).get_trace(batch)
            return [alignment_weights(site) for site in latent_sites(trace).values()]

        if self.has_parameters:
            assert not torch.equal(*probs(guide), *probs(other))
        other.load_state_dict(guide.state_dict())
        for ours, theirs in zip(probs(guide), probs(other), strict=True):
            assert torch.equal(ours, theirs)
